"""Synonyms: the built-in list of a fashion shop, and the shop's own groups."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from models.index.words.analysis import words_of
from models.index.words.stems import stems_of

FILE = Path(__file__).with_name("synonyms.txt")
LONGEST_PHRASE = 4
"""Words of the longest synonym."""

Phrase = tuple[str, ...]
"""The terms of a synonym of one word or several."""


class Synonyms:
    """Phrase -> the phrases that mean the same; single words are compared by their stems."""

    def __init__(self, groups: Iterable[Sequence[str]] = ()) -> None:
        self._phrases: dict[tuple[str, ...], list[Phrase]] = {}
        for group in groups:
            self.add(group, group)

    def add(self, searched: Sequence[str], matching: Sequence[str]) -> None:
        """Who searches for one of the first also finds products that have one of the others."""
        phrases = [phrase_of(text) for text in matching]
        for text in searched:
            own = phrase_of(text)
            for key in keys_of(own):
                others = self._phrases.setdefault(key, [])
                others += [one for one in phrases if one != own and one not in others]

    def of(self, phrase: Phrase) -> list[Phrase]:
        """Synonyms of a phrase or of another form of it."""
        for key in keys_of(phrase):
            if key in self._phrases:
                return self._phrases[key]
        return []


@lru_cache(maxsize=1)
def builtin_synonyms() -> Synonyms:
    """The list in `synonyms.txt`."""
    synonyms = Synonyms()
    for line in FILE.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        wide, _, narrow = line.rpartition(">")
        group = [text.strip() for text in narrow.split(",")]
        synonyms.add([wide.strip()] if wide else group, group)
    return synonyms


def phrase_of(text: str) -> Phrase:
    """The terms of a synonym; `t-shirt` is the one term `tshirt`."""
    return tuple("".join(parts) for parts in words_of(text))


def keys_of(phrase: Phrase) -> list[tuple[str, ...]]:
    """The phrase itself, and for a single word also its stems."""
    if len(phrase) != 1:
        return [phrase]
    return [phrase, *((f"~{stem}",) for stem in sorted(stems_of(phrase[0])))]
