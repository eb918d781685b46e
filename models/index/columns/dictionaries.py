"""Dictionary encoding of the columns: texts, groups and facts as small numbers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

NO_GROUPS = np.zeros(0, dtype=np.uint64)


class TextCodes:
    """Texts, compared without case, as small numbers; the first spelling of each is shown."""

    def __init__(self, spellings: Iterable[str] = ()) -> None:
        self.spellings = list(spellings)
        self._codes = {text.casefold(): code for code, text in enumerate(self.spellings)}

    def __len__(self) -> int:
        return len(self.spellings)

    def code(self, text: str) -> int:
        """The text's number; a new text gets the next number."""
        code = self._codes.setdefault(text.casefold(), len(self.spellings))
        if code == len(self.spellings):
            self.spellings.append(text)
        return code

    def find(self, text: str) -> int | None:
        """The text's number, or None where no row ever had it."""
        return self._codes.get(text.casefold())

    def codes_of(self, texts: Iterable[str]) -> list[int]:
        """The numbers of the texts that have one."""
        return [code for text in texts if (code := self.find(text)) is not None]


class GroupCodes:
    """Ids of groups, compared without case, as numbers.

    A million ids would take a hundred megabytes, so each is stored as a hash of 64 bits: two of a
    million ids have the same one with a probability of 3 in 10^8.
    """

    def __init__(self, hashes: NDArray[np.uint64] = NO_GROUPS) -> None:
        self._files = hashes
        self._order = np.argsort(hashes, kind="stable")
        self._sorted = hashes[self._order]
        self._newer: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._files) + len(self._newer)

    def code(self, group_id: str | None) -> int:
        """The group's number, -1 for None; a new group gets the next number."""
        if group_id is None:
            return -1
        code = self.find(group_id)
        return self._newer.setdefault(_hash(group_id), len(self)) if code is None else code

    def find(self, group_id: str) -> int | None:
        """The group's number, or None where no row ever had it."""
        hashed = _hash(group_id)
        place = int(np.searchsorted(self._sorted, np.uint64(hashed)))
        if place < len(self._sorted) and int(self._sorted[place]) == hashed:
            return int(self._order[place])
        return self._newer.get(hashed)

    def codes_of(self, group_ids: Iterable[str]) -> list[int]:
        """The numbers of the groups that have one."""
        return [code for one in group_ids if (code := self.find(one)) is not None]

    def hashes(self) -> NDArray[np.uint64]:
        """The hash of each number."""
        return np.concatenate([self._files, np.array(list(self._newer), dtype=np.uint64)])


def _hash(group_id: str) -> int:
    digest = blake2b(group_id.casefold().encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


class FactCodes:
    """Facts (an attribute's name and one of its values) as numbers."""

    def __init__(
        self,
        names: Sequence[str] = (),
        name_codes: Sequence[int] = (),
        values: Sequence[str] = (),
    ) -> None:
        """`names`: spellings, by number of the name; the others are by number of the fact."""
        self.names = TextCodes(names)
        self.name_codes = list(name_codes)
        self.values = list(values)
        self._codes: dict[tuple[int, str], int] = {}
        self._codes_of_name: dict[int, list[int]] = {}
        for code, (name, value) in enumerate(zip(name_codes, values, strict=True)):
            self._codes[name, value.casefold()] = code
            self._codes_of_name.setdefault(name, []).append(code)

    def __len__(self) -> int:
        return len(self.values)

    def code(self, name: str, value: str) -> int:
        """The fact's number; a new fact gets the next number."""
        name_code = self.names.code(name)
        code = self._codes.setdefault((name_code, value.casefold()), len(self.values))
        if code == len(self.values):
            self.name_codes.append(name_code)
            self.values.append(value)
            self._codes_of_name.setdefault(name_code, []).append(code)
        return code

    def codes_of(self, name: str, values: Iterable[str] | None = None) -> list[int]:
        """The numbers of a name's facts, ascending: of all, or of the given values."""
        name_code = self.names.find(name)
        if name_code is None:
            return []
        if values is None:
            return self._codes_of_name[name_code]
        pairs = {(name_code, value.casefold()) for value in values}
        return sorted(self._codes[pair] for pair in pairs if pair in self._codes)


@dataclass(frozen=True)
class Dictionaries:
    """The dictionaries that all rows of an index share."""

    categories: TextCodes = field(default_factory=TextCodes)
    brands: TextCodes = field(default_factory=TextCodes)
    currencies: TextCodes = field(default_factory=TextCodes)
    groups: GroupCodes = field(default_factory=GroupCodes)
    facts: FactCodes = field(default_factory=FactCodes)
