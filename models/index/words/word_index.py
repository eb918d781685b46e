"""Matches and scores the words of a query over the rows of an index, live changes included."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from models.index.shapes import ProductText
from models.index.words.completion import complete
from models.index.words.documents import Documents
from models.index.words.expansion import Alternative, Expander, Unit
from models.index.words.files import WordFiles
from models.index.words.hash_table import hash_of
from models.index.words.identifiers import Identifiers
from models.index.words.impacts import VALUES, impacts_of
from models.index.words.postings import TermPostings
from models.index.words.synonyms import Synonyms, builtin_synonyms
from models.index.words.vocabulary import Vocabulary

Scores = tuple[NDArray[np.int32], NDArray[np.float32]]
"""Documents and a value of each: int32 (n,), float32 (n,)."""


@dataclass(frozen=True)
class WordMatch:
    """What the words of a query match.

    Attributes:
        scores: float32 (rows,), 0 to 1: how many of the words a row has, the rare ones counting
            more, and in how weighty fields.
        is_complete: bool (rows,): the rows that have every word.
        exact: the rows whose id, SKU or full title is the query.
        suggestion: the query as it was probably meant; None where it was searched as it stands.
    """

    scores: NDArray[np.float32]
    is_complete: NDArray[np.bool_]
    exact: NDArray[np.int64]
    suggestion: str | None = None


class WordIndex:
    """The lexical index of one version. Not thread-safe.

    The words of a product are a document. A new text of a product is a new document, whose number
    is above all earlier ones, and the old document is dead; so postings are only appended to.
    Inverse document frequencies are the version's, so that scores are the same in every replica.
    """

    def __init__(self, files: WordFiles) -> None:
        self._vocabulary = Vocabulary(files.vocabulary)
        self._postings = TermPostings(files.postings)
        self._identifiers = Identifiers(files.identifiers)
        self._documents = Documents(files.fingerprints)
        self._count = len(files.fingerprints)

    def put(self, row: int, text: ProductText) -> None:
        """Adds or replaces the words of a row; does nothing where they are the same."""
        document = self._documents.put(row, fingerprint_of(text))
        if document is None:
            return
        for term, impact in impacts_of(text).items():
            self._postings.add(self._vocabulary.add(term), document, impact)
        self._identifiers.add(text, document)
        if self._documents.is_compaction_due:
            self._compact()

    def remove(self, row: int) -> None:
        """Takes the words of a row out of all later searches."""
        self._documents.remove(row)

    def renumber(self, rows: NDArray[np.int64]) -> None:
        """Follows a compaction of the index: its new rows are these old ones, in this order."""
        self._documents.renumber(rows)

    def match(self, phrase: str, rows: int, synonyms: Sequence[Sequence[str]] = ()) -> WordMatch:
        """What the words of a phrase match; `rows`: how many the index has.

        `synonyms`: the shop's own groups, beside the built-in ones. Where no row has every word,
        words of the vocabulary are taken for typing errors, too. An empty phrase matches all rows.
        """
        own = (Synonyms(synonyms),) if synonyms else ()
        expander = Expander(self._vocabulary, self._postings.count, (*own, builtin_synonyms()))
        units = expander.expand(phrase)
        match = self._score(units, rows)
        if not phrase:
            match.is_complete[:] = True
        exact = self._documents.live_rows(self._identifiers.find(phrase))
        if exact.size:
            match.is_complete[exact] = True
            return replace(match, exact=exact)
        if match.is_complete.any():
            return replace(match, suggestion=self._suggestion(units, match))
        return self._match_similar(phrase, rows, expander, units, match)

    def named(self, phrase: str) -> NDArray[np.int64]:
        """The rows whose id, SKU or full title is the phrase."""
        return self._documents.live_rows(self._identifiers.find(phrase))

    def complete(self, phrase: str, most: int) -> list[int]:
        """The rows of the best products whose words begin as the phrase does, the best first."""
        documents = complete(self._vocabulary, self._postings, phrase, most)
        rows = [self._documents.live_rows([document]) for document in documents]
        return [int(row) for own in rows for row in own][:most]

    def _match_similar(
        self, phrase: str, rows: int, expander: Expander, units: list[Unit], match: WordMatch
    ) -> WordMatch:
        """The match where no row has every word as it stands."""
        similar = self._identifiers.similar(phrase)
        exact = self._documents.live_rows([document for _, document in similar])
        if exact.size:
            match.is_complete[exact] = True
            return replace(match, exact=exact, suggestion=similar[0][0])
        lenient = expander.expand(phrase, is_lenient=True)
        if lenient != units:
            other = self._score(lenient, rows)
            if other.is_complete.any():
                units, match = lenient, other
        return replace(match, suggestion=self._suggestion(units, match))

    def _score(self, units: list[Unit], rows: int) -> WordMatch:
        """Scores of all documents, gathered into the rows."""
        count = self._documents.count
        scores, matches = np.zeros(count, dtype=np.float32), np.zeros(count, dtype=np.uint8)
        total = 0.0
        for unit in units:
            weight = np.float32(self._weight(unit))
            total += float(weight)
            parts = [self._alternative_scores(alternative) for alternative in unit.alternatives]
            if len(parts) == 1:
                documents, values = parts[0]
                scores[documents] += weight * values
                matches[documents] += 1
            elif parts:
                best = np.zeros(count, dtype=np.float32)
                for documents, values in parts:
                    best[documents] = np.maximum(best[documents], values)
                matches += best > 0
                best *= weight
                scores += best
        if total:
            scores *= np.float32(1 / total)
        is_complete = matches == max(1, len(units))
        return WordMatch(
            self._documents.to_rows(scores, rows),
            self._documents.to_rows(is_complete, rows),
            np.zeros(0, dtype=np.int64),
        )

    def _weight(self, unit: Unit) -> float:
        """The inverse document frequency of a unit in the version."""
        frequency = sum(
            min(self._postings.base_count(code) for code in alternative.codes)
            for alternative in unit.alternatives
        )
        frequency = min(frequency, self._count)
        return math.log(1 + (self._count - frequency + 0.5) / (frequency + 0.5))

    def _alternative_scores(self, alternative: Alternative) -> Scores:
        """The documents that have all terms of an alternative, and their mean values."""
        weight = np.float32(alternative.weight / len(alternative.codes))
        postings = [self._postings.of(code) for code in alternative.codes]
        if len(postings) == 1:
            documents, impacts = postings[0]
            return documents, VALUES[impacts] * weight
        common = reduce(_intersect, (documents for documents, _ in postings))
        values = np.zeros(len(common), dtype=np.float32)
        for documents, impacts in postings:
            values += VALUES[impacts[np.searchsorted(documents, common)]]
        return common, values * weight

    def _suggestion(self, units: list[Unit], match: WordMatch) -> str | None:
        """The words as they were matched; without those that nothing has, if there are others."""
        matched = [unit for unit in units if unit.alternatives]
        is_same = len(matched) == len(units) and not any(unit.is_changed for unit in units)
        if is_same or not matched:
            return None
        if len(matched) < len(units):
            match = self._score(matched, len(match.scores))
        return " ".join(unit.text for unit in matched) if match.is_complete.any() else None

    def _compact(self) -> None:
        """Drops dead documents behind the version's."""
        numbers = self._documents.compact()
        self._postings.renumber(numbers)
        self._identifiers.renumber(numbers)


def _intersect(one: NDArray[np.int32], other: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.intersect1d(one, other, assume_unique=True)


def fingerprint_of(text: ProductText) -> int:
    """The same for the same texts, 64 bits."""
    return hash_of(repr(text))
