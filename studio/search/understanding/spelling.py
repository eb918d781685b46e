"""Words that no table has: compounds of known words, and known words with a typing error."""

from collections.abc import Sequence
from functools import lru_cache

from rapidfuzz.distance import OSA
from rapidfuzz.process import extract

from studio.search.understanding.catalogue import CatalogueWords
from studio.search.understanding.lexicon import Entry, Term, lexicon

SHORTEST_PART = 3
"""Letters of each part of a compound."""
SHORTEST_CORRECTION, LONG_WORD = 4, 8
"""Words of at least this many letters may have one error, or two."""
_READ_LOOKS = ("garment", "colour", "pattern")

Part = tuple[str, Entry]
"""A word to search for, and what it means."""


def parts_of(word: str, languages: Sequence[str], catalogue: CatalogueWords) -> tuple[Part, ...]:
    """The known words that a word consists of, or the known word that it misspells; () if none.

    Errors are corrected in English words and in those of the query's languages.
    """
    parts = _two_words(word) or _compound(word)
    return parts or _correction(word, frozenset({"en", *languages}), catalogue)


def _two_words(word: str) -> tuple[Part, ...]:
    """`whiteshirt` is a white shirt; both parts are words of the same language."""
    entries = lexicon().entries
    for cut in range(SHORTEST_PART, len(word) - SHORTEST_PART + 1):
        first, second = entries.get((word[:cut],)), entries.get((word[cut:],))
        if first is not None and second is not None:
            looks = {term.language for term in first.terms if term.look != "garment"}
            if any(term.look == "garment" and term.language in looks for term in second.terms):
                return ((word[:cut], first), (word[cut:], second))
    return ()


def _compound(word: str) -> tuple[Part, ...]:
    """`sommerkleid` is a dress; the first part stays a word."""
    for end, english in lexicon().compounds:
        first = word.removesuffix(end)
        if first != word and len(first) >= SHORTEST_PART:
            own = lexicon().entries.get((first,)) or Entry()
            return ((first, own), (end, Entry((Term("garment", english, "de"),))))
    return ()


def _correction(
    word: str, languages: frozenset[str], catalogue: CatalogueWords
) -> tuple[Part, ...]:
    """The only known word that is one error away (two, if it is long) and that has products."""
    if len(word) < SHORTEST_CORRECTION:
        return ()
    errors = 2 if len(word) >= LONG_WORD else 1
    matches = [
        (distance, choice)
        for choice, distance, _ in extract(
            word,
            _listed_words(word[0], languages),
            scorer=OSA.distance,
            score_cutoff=errors,
            limit=5,
        )
        if any(catalogue.value_of(term) for term in lexicon().entries[choice,].terms)
    ]
    if not matches:
        return ()
    least = min(matches)[0]
    best = [lexicon().entries[choice,] for distance, choice in matches if distance == least]
    meanings = {term[:2] for entry in best for term in entry.terms}
    if len(meanings) > 1:
        return ()
    return ((min(choice for distance, choice in matches if distance == least), best[0]),)


@lru_cache(maxsize=128)
def _listed_words(initial: str, languages: frozenset[str]) -> tuple[str, ...]:
    """Words of looks that begin with a letter; errors are rare in the first one."""
    return tuple(
        phrase[0]
        for phrase, entry in lexicon().entries.items()
        if len(phrase) == 1
        and phrase[0][0] == initial
        and len(phrase[0]) >= SHORTEST_CORRECTION
        and any(
            term.look in _READ_LOOKS and term.language in languages and not term.is_shared
            for term in entry.terms
        )
    )
