"""What a search compares and how many candidates it rescores, derived from its query."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from errors import Invalid
from models.index.exact_scores import TIE
from models.index.shapes import SearchQuery
from models.index.stats import ScoreStats, SearchParameters

DEPTH_PER_RESULT = 4
"""The least number of candidates rescored for each result; the version's depth may be larger."""


@dataclass(frozen=True)
class SearchPlan:
    """A query, and what `ProductIndex` derives from it.

    Attributes:
        blend: the vector whose inner products, plus `offset`, are the scores: float64 (dim,).
        single: `blend` in single precision.
        tie: scores closer than this may be equal after rounding.
        k: results, including those that the query excludes.
        lists, depth: the lists that are probed, and the candidates that are rescored.
    """

    query: SearchQuery
    blend: NDArray[np.float64]
    offset: float
    single: NDArray[np.float32]
    tie: float
    k: int
    lists: int
    depth: int


def plan_search(query: SearchQuery, stats: ScoreStats, parameters: SearchParameters) -> SearchPlan:
    """Derives the plan of a query.

    Raises:
        Invalid: the query has no vector.
    """
    blend, offset = _blend(query, stats)
    k = query.top_k + len(query.exclude)
    lists, depth = _effort(query, k, parameters)
    tie = TIE * math.sqrt(float(blend @ blend))
    return SearchPlan(query, blend, offset, blend.astype(np.float32), tie, k, lists, depth)


def _blend(query: SearchQuery, stats: ScoreStats) -> tuple[NDArray[np.float64], float]:
    """The vector whose inner products, plus the offset, are the scores."""
    image, text, alpha = query.image, query.text, query.alpha
    if image is not None and (text is None or alpha >= 1.0):
        return image.astype(np.float64), 0.0
    if text is not None and (image is None or alpha <= 0.0):
        return text.astype(np.float64), 0.0
    if image is None or text is None:
        raise Invalid("a search needs a picture, words, or both")
    image_weight, text_weight = alpha / stats.image_std, (1.0 - alpha) / stats.text_std
    if query.is_by_catalogue:  # the rest of the text's weight is that of the matches
        text_weight *= 1.0 - query.words_weight
    offset = -image_weight * stats.image_mean - text_weight * stats.text_mean
    return image_weight * image.astype(np.float64) + text_weight * text, offset


def _effort(query: SearchQuery, k: int, parameters: SearchParameters) -> tuple[int, int]:
    """How many lists the query probes and how many candidates it rescores."""
    depth = DEPTH_PER_RESULT * k
    if query.text is None or (query.image is not None and query.alpha >= 1.0):
        return parameters.image_lists, max(parameters.image_depth, depth)
    return parameters.text_lists, max(parameters.text_depth, depth)
