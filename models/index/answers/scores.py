"""The score of every row for a query: similarity of vectors, fused with matches of words.

A text search without words of the catalogue has the cosine as its score. With them it is

    (1 - w) * v + w * l        and 1 more for a product whose id, SKU or full title is the query

where w is `words_weight`, and v and l are between 0 and 1. v = x / (1 + x) is a half at the
similarity that the version's titles have to their tenth nearest product, and 0 at the similarity
that nearly all titles have to it: x = (cosine - text_cutoff) / (text_top - text_cutoff). Three
quarters of l depend on whether the product has all words of the query, and one quarter is the share
of them that it has, weighted by rarity and field (BM25F). A product that has not all of them is
relevant if its cosine reaches `fused_cutoff`.

A hybrid search gives w of the text's share to l, in the unit of its standardised similarities.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.index.product_index import ProductIndex
from models.index.relevance import NEVER
from models.index.search_plan import SearchPlan
from models.index.shapes import SearchQuery
from models.index.stats import ScoreStats
from models.index.words.word_index import WordMatch

NO_CUTOFF = ScoreStats().text_cutoff
COMPLETE_SHARE = 0.75
"""The part of a word score that depends on whether a product has all words."""
IDENTIFIER_BONUS = 1.0
LEAST_SPAN = 1e-3
NO_ROWS = np.zeros(0, dtype=np.int64)
TOP = 10_000.0
"""The order value of the first pinned product; scores are far below."""


class RowScores:
    """Scores of the rows of an index for one query.

    Attributes:
        relevant: which rows are relevant, bool (total,); None: all of them.
        named: the rows whose id, SKU or full title is the query.
        suggestion: the query as it was probably meant.
    """

    def __init__(self, index: ProductIndex, query: SearchQuery, plan: SearchPlan) -> None:
        self.index = index
        self._plan = plan
        self._query = query
        self._match = _match(index, query)
        self.suggestion = None if self._match is None else self._match.suggestion
        self.named = self._add_named(query)
        self._places = _places(index, query)
        self.relevant: NDArray[np.bool_] | None = None
        self._similarities = np.zeros(0, dtype=np.float32)
        if query.is_by_text or query.sort == "relevance":
            self._compare()

    def _add_named(self, query: SearchQuery) -> NDArray[np.int64]:
        """The rows that the whole query names; the phrase may be a part of it."""
        if self._match is None or query.name is None:
            return NO_ROWS
        if query.name == query.phrase:
            return self._match.exact
        named = self.index.words.named(query.name)
        if named.size:
            self._match.is_complete[named] = True
            self._match = replace(self._match, exact=np.union1d(self._match.exact, named))
        return named

    def _compare(self) -> None:
        cutoff = self.index.stats.text_cutoff
        has_cutoff = self._query.is_by_text and cutoff > NO_CUTOFF
        self._similarities = self.index.similarities(self._plan, cutoff if has_cutoff else None)
        if not self._query.is_by_text:
            return
        self.relevant = self._similarities > NEVER
        if self._match is not None:
            self.relevant &= self._similarities >= self.index.stats.fused_cutoff
            self.relevant |= self._match.is_complete

    def approximate(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores that are in about the order of the exact ones: float32 (n,)."""
        similarities = self._similarities[rows]
        if self._match is not None:
            similarities = self._fused(similarities + np.float32(self._plan.offset), rows)
        return self._placed(similarities, rows)

    def exact(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """What the order compares of rows, not rounded: their scores, or above them all for pinned
        products and below them all for buried ones: float64 (n,).
        """
        return self._placed(self.similarity(rows), rows)

    def similarity(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The exact scores of rows, not rounded: float64 (n,)."""
        similarities = self.index.exact(self._plan, rows)
        return similarities if self._match is None else self._fused(similarities, rows)

    def _placed(self, scores: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
        """Scores with those of pinned and buried rows replaced."""
        if not self._places:
            return scores
        placed = scores.copy()
        for row, place in self._places.items():
            is_own = rows == row
            placed[is_own] = place if place > 0 else np.maximum(scores[is_own], 0) + place
        return placed

    def _fused(self, similarities: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
        """Similarities of rows, fused with their words, in the precision of the similarities."""
        match, weight, stats = self._match, self._query.words_weight, self.index.stats
        if match is None:
            return similarities
        words = match.scores[rows] * (1 - COMPLETE_SHARE) + match.is_complete[rows] * COMPLETE_SHARE
        if not self._query.is_by_text:
            spread = (stats.text_top - stats.text_mean) / stats.text_std
            scale = (1 - self._query.alpha) * weight * spread
            return (similarities + scale * words).astype(similarities.dtype)
        span = max(LEAST_SPAN, stats.text_top - stats.text_cutoff)
        excess = np.maximum(similarities - stats.text_cutoff, 0) / span
        scores = (1 - weight) * excess / (1 + excess) + weight * words
        if match.exact.size:
            scores += IDENTIFIER_BONUS * np.isin(rows, match.exact)
        return scores.astype(similarities.dtype)


def _match(index: ProductIndex, query: SearchQuery) -> WordMatch | None:
    if query.phrase is None or not query.is_by_catalogue:
        return None
    return index.words.match(query.phrase, index.rows.total, query.synonyms)


def _places(index: ProductIndex, query: SearchQuery) -> dict[int, float]:
    """Row -> its order value if it is pinned, or what is added to its score if it is buried."""
    if query.sort != "relevance":
        return {}
    rows = [(index.rows.find(pin), TOP - place) for place, pin in enumerate(query.pins)]
    rows += [(index.rows.find(buried), -TOP) for buried in sorted(query.buried)]
    return {row: place for row, place in rows if row is not None}
