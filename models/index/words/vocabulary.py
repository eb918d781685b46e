"""The terms of an index: by text, by stem, and by similarity for typing errors."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.index.text_table import TextTable
from models.index.words.hash_table import HashTable
from models.index.words.spelling import SpellingTable, allowed_edits
from models.index.words.stems import stems_of

CACHED_WORDS = 10_000
"""Words of queries whose forms are cached until a term is added."""


@dataclass(frozen=True)
class TermFiles:
    """The terms of a version, in ascending order of their bytes; a term's code is its place.

    `letters`: uint64 (n,), a bit for each letter that the term has. `stems`: stem -> codes.
    """

    terms: TextTable
    letters: NDArray[np.uint64]
    stems: HashTable


class Vocabulary:
    """Terms and their codes. Terms of live changes follow those of the version."""

    def __init__(self, files: TermFiles) -> None:
        self._terms = files.terms
        self._stems = files.stems
        self._spelling = SpellingTable(files.terms, files.letters)
        self._words: dict[str, tuple[int | None, list[int]]] = {}
        self._added: dict[str, int] = {}
        self._added_stems: dict[str, list[int]] = {}

    def term(self, code: int) -> str:
        """The text of a code."""
        return self._spelling[code]

    def find(self, term: str) -> int | None:
        """The code of a term."""
        code = self._added.get(term)
        return self._terms.find(term) if code is None else code

    def add(self, term: str) -> int:
        """The code of a term; a new one gets the next code."""
        code = self.find(term)
        if code is None:
            code = self._added[term] = len(self._spelling)
            self._spelling.add(term)
            for stem in stems_of(term):
                self._added_stems.setdefault(stem, []).append(code)
            self._words.clear()
        return code

    def forms(self, term: str) -> tuple[int | None, list[int]]:
        """The code of the term itself, and those of the terms that share a stem with it."""
        if term not in self._words:
            if len(self._words) >= CACHED_WORDS:
                self._words.clear()
            self._words[term] = (self.find(term), self._sharing_stem(term))
        return self._words[term]

    def _sharing_stem(self, term: str) -> list[int]:
        codes: set[int] = set()
        for stem in stems_of(term):
            codes.update(self._stems.find(stem))
            codes.update(self._added_stems.get(stem, ()))
        return sorted(codes - {self.find(term)})

    def beginning(self, start: str) -> list[int]:
        """The codes of the terms that begin with this."""
        first = self._terms.count_up_to(start)
        first -= self._terms.find(start) is not None
        end = self._terms.count_up_to(start + chr(0x10FFFF))
        added = [code for term, code in self._added.items() if term.startswith(start)]
        return [*range(first, end), *added]

    def similar(self, term: str) -> list[tuple[int, int]]:
        """(code, edits) of other terms that it may be meant for: those with the fewest edits."""
        edits = allowed_edits(term)
        if not edits:
            return []
        return [(code, count) for code, count in self._spelling.similar(term, edits) if count]
