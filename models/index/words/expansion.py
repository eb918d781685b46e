"""What a query's words may match: forms, compounds, synonyms, and terms with typing errors."""

from collections.abc import Callable
from dataclasses import dataclass

from models.index.words.analysis import STOP_WORDS, words_of
from models.index.words.synonyms import LONGEST_PHRASE, Phrase, Synonyms
from models.index.words.vocabulary import Vocabulary

FORM_WEIGHT = 0.9
SYNONYM_WEIGHT = 0.85
EDIT_WEIGHT = 0.7
"""Of a term with one typing error; two errors have its square."""
SECOND_WEIGHT = 0.8
"""Beside the most probable one of several terms that a word may be meant for."""
SIMILAR_TERMS = 8
LONGEST_QUERY = 64
"""Later words of a query are ignored."""
SHORTEST_PART = 3
"""Letters of the parts that a compound is split into; `tshirt` is the exception."""


@dataclass(frozen=True)
class Alternative:
    """Terms that a document must have all of, and the weight of such a match, 0 to 1."""

    codes: tuple[int, ...]
    weight: float


@dataclass(frozen=True)
class Unit:
    """A word (or a fixed phrase) of the query: a document matches it by any alternative.

    Attributes:
        text: as the query has it, or as it was probably meant.
        is_changed: whether `text` differs from the query in its spelling.
    """

    text: str
    alternatives: tuple[Alternative, ...]
    is_changed: bool = False


class Expander:
    """Finds the alternatives of a query's words in a vocabulary.

    `count`: the number of documents that have a term; decides between two spellings.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        count: Callable[[int], int],
        synonyms: tuple[Synonyms, ...],
    ) -> None:
        self._vocabulary = vocabulary
        self._count = count
        self._synonyms = synonyms

    def expand(self, text: str, *, is_lenient: bool = False) -> list[Unit]:
        """The units of a query. `is_lenient`: terms that exist may be typing errors, too."""
        words = [word for parts in words_of(text) for word in self._pieces(parts)][:LONGEST_QUERY]
        words = [word for word in words if word not in STOP_WORDS] or words
        units: list[Unit] = []
        place = 0
        while place < len(words):
            phrase = self._phrase_at(words, place)
            if phrase is not None:
                units.append(phrase)
                place += len(phrase.text.split())
                continue
            units += self._units_of(words[place], is_lenient=is_lenient)
            place += 1
        return units

    def _pieces(self, parts: tuple[str, ...]) -> list[str]:
        """A word of several parts as one, where the vocabulary has it so."""
        joined = "".join(parts)
        is_one = len(parts) == 2 and len(parts[0]) == 1
        return [joined] if is_one or self._vocabulary.find(joined) is not None else list(parts)

    def _phrase_at(self, words: list[str], place: int) -> Unit | None:
        """A phrase of several words that is written as one elsewhere, or that has synonyms."""
        for length in range(min(LONGEST_PHRASE, len(words) - place), 1, -1):
            phrase = tuple(words[place : place + length])
            others = self._joined(phrase)
            for synonyms in self._synonyms:
                for key in (phrase, ("".join(phrase),)):
                    others += self._phrases(synonyms.of(key), SYNONYM_WEIGHT)
            if others:
                own = self._phrases([phrase], 1.0)
                return Unit(" ".join(phrase), unique([*own, *others]))
        return None

    def _joined(self, phrase: Phrase) -> list[Alternative]:
        """Two words written as one: as the vocabulary has it, or after a single letter any form."""
        joined = "".join(phrase)
        has_term = len(phrase[0]) == 1 or self._vocabulary.find(joined) is not None
        return self._exact(joined) if len(phrase) == 2 and has_term else []

    def _units_of(self, word: str, *, is_lenient: bool) -> list[Unit]:
        """A single word: as it is, or as two, or as the word that it was meant for."""
        alternatives = self._exact(word)
        for synonyms in self._synonyms:
            alternatives += self._phrases(synonyms.of((word,)), SYNONYM_WEIGHT)
        if alternatives and not is_lenient:
            return [Unit(word, unique(alternatives))]
        parts = None if alternatives else self._split(word)
        if parts is not None:
            return [Unit(part, tuple(self._exact(part)), is_changed=True) for part in parts]
        return [self._corrected(word, alternatives)]

    def _corrected(self, word: str, alternatives: list[Alternative]) -> Unit:
        """The word or the most similar terms: with the same first letter, if there are any."""
        similar = self._vocabulary.similar(word)
        alike = [pair for pair in similar if self._starts_alike(pair[0], word)]
        similar = sorted(alike or similar, key=lambda pair: self._rank(pair[0], word))
        if not similar:
            return Unit(word, tuple(alternatives))
        text = word if alternatives else self._vocabulary.term(similar[0][0])
        corrected = [
            Alternative((code,), EDIT_WEIGHT**edits * (1.0 if place == 0 else SECOND_WEIGHT))
            for place, (code, edits) in enumerate(similar[:SIMILAR_TERMS])
        ]
        return Unit(text, unique([*alternatives, *corrected]), is_changed=not alternatives)

    def _rank(self, code: int, word: str) -> tuple[bool, bool, int]:
        """Letters are rather swapped, lost or doubled than wrong; then frequent terms are first."""
        term = self._vocabulary.term(code)
        return sorted(term) != sorted(word), len(term) == len(word), -self._count(code)

    def _starts_alike(self, code: int, word: str) -> bool:
        return self._vocabulary.term(code)[0] == word[0]

    def _exact(self, word: str) -> list[Alternative]:
        """The term itself and its other forms."""
        own, forms = self._vocabulary.forms(word)
        exact = [] if own is None else [Alternative((own,), 1.0)]
        return exact + [Alternative((code,), FORM_WEIGHT) for code in forms]

    def _phrases(self, phrases: list[Phrase], weight: float) -> list[Alternative]:
        """Those phrases of which the vocabulary has every word."""
        alternatives: list[Alternative] = []
        for phrase in phrases:
            if len(phrase) == 1:
                exact = self._exact(phrase[0])
                alternatives += [Alternative(own.codes, weight * own.weight) for own in exact]
                continue
            codes = [self._vocabulary.forms(word)[0] for word in phrase]
            present = tuple(code for code in codes if code is not None)
            if len(present) == len(codes):
                alternatives.append(Alternative(present, weight))
        return alternatives

    def _split(self, word: str) -> tuple[str, str] | None:
        """The two known words that a compound consists of, so that the rarer one is frequent."""
        pairs = [
            (word[:place], word[place:])
            for place in range(1, len(word) - SHORTEST_PART + 1)
            if place >= SHORTEST_PART or word[:place] == "t"
        ]
        counts = {pair: min(self._frequency(part) for part in pair) for pair in pairs}
        best = max(pairs, key=lambda pair: counts[pair], default=None)
        return best if best is not None and counts[best] else None

    def _frequency(self, word: str) -> int:
        codes = {code for exact in self._exact(word) for code in exact.codes}
        return sum(self._count(code) for code in codes)


def unique(alternatives: list[Alternative]) -> tuple[Alternative, ...]:
    """Each alternative once, with the highest of its weights."""
    weights: dict[tuple[int, ...], float] = {}
    for alternative in alternatives:
        weights[alternative.codes] = max(alternative.weight, weights.get(alternative.codes, 0.0))
    return tuple(Alternative(codes, weight) for codes, weight in weights.items())
