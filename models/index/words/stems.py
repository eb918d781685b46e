"""Stems of a word in the five languages of the studio, by the Snowball algorithms."""

from functools import lru_cache
from typing import Any

import snowballstemmer

LANGUAGES = ("english", "german", "french", "spanish", "italian")
SHORTEST_STEM = 3
CACHED_WORDS = 50_000


@lru_cache(maxsize=1)
def _stemmers() -> list[Any]:
    return [snowballstemmer.stemmer(language) for language in LANGUAGES]


@lru_cache(maxsize=CACHED_WORDS)
def stems_of(term: str) -> frozenset[str]:
    """The stems of a folded term; terms that share one are forms of one word.

    Nobody says in which language a title or a query is, so all five are tried. Terms with digits
    and very short ones have no stems.
    """
    if len(term) < SHORTEST_STEM or not term.isalpha():
        return frozenset()
    stems = (stemmer.stemWord(term) for stemmer in _stemmers())
    return frozenset(stem for stem in stems if len(stem) >= SHORTEST_STEM)
