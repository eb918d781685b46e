"""Quality of an index: ground truth of sample queries, recall against it, tuned parameters."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.index.product_index import ProductIndex
from models.index.shapes import NO_FILTERS, Filters, SearchQuery
from models.index.stats import SearchParameters

RECALL_AT = 10
TARGET = 0.97
"""The recall that search parameters are tuned to."""
NOISE = 0.3
"""Length of the noise that is added to a product's vector, so that the query equals no product."""
BLOCK_ROWS = 8192
SCORE_TOLERANCE = 2e-6
"""Scores this close are equal: both are rounded or in single precision."""
LIST_CHOICES = (1, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
DEPTH_CHOICES = (50, 100, 200, 400, 800, 1600, 3200, 6400)
ROW_COST = 7
"""The measured time to compare the code of one row, in nanoseconds."""
CANDIDATE_COST = 400
"""The measured time to read and rescore one candidate, in nanoseconds."""
PILOT_QUERIES = 40
"""Queries that are enough to reject parameters far below the target."""

Side = Literal["image", "text"]


@dataclass(frozen=True)
class GroundTruth:
    """Exact scores of sample queries: `kth`, float32 (q,), is the tenth best of each query; mean
    and standard deviation are over all products.
    """

    kth: NDArray[np.float32]
    mean: float
    std: float


def ground_truth(vectors: NDArray[np.float16], queries: NDArray[np.float32]) -> GroundTruth:
    """Compares unit queries, float32 (q, dim), with a catalogue, (n, dim), block by block."""
    if not len(vectors) or not len(queries):
        return GroundTruth(np.zeros(len(queries), dtype=np.float32), 0.0, 1.0)
    top = np.full((len(queries), 0), -np.inf, dtype=np.float32)
    total = squares = 0.0
    for start in range(0, len(vectors), BLOCK_ROWS):
        scores = queries @ vectors[start : start + BLOCK_ROWS].astype(np.float32).T
        total += float(scores.sum(dtype=np.float64))
        squares += float(np.square(scores, dtype=np.float64).sum())
        top = np.concatenate([top, scores], axis=1)
        if top.shape[1] > RECALL_AT:
            top = -np.partition(-top, RECALL_AT - 1, axis=1)[:, :RECALL_AT]
    count = len(queries) * len(vectors)
    variance = squares / count - (total / count) ** 2
    std = max(variance, 0.0) ** 0.5 if count > 1 else 1.0
    return GroundTruth(top.min(axis=1), total / count if count > 1 else 0.0, max(std, 1e-6))


def perturb(vectors: NDArray[np.float16]) -> NDArray[np.float32]:
    """Queries similar to the products, (n, dim), but equal to none: float32, unit rows."""
    dim = vectors.shape[1]
    noise = np.random.default_rng(1).normal(size=vectors.shape) * (NOISE / dim**0.5)
    moved = vectors.astype(np.float32) + noise.astype(np.float32)
    unit: NDArray[np.float32] = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    return unit


def recall(
    index: ProductIndex,
    side: Side,
    queries: NDArray[np.float32],
    kth: NDArray[np.float32],
    filters: Filters = NO_FILTERS,
) -> float:
    """Recall at 10: the share of the true ten nearest that a search returns; 1.0 without queries.

    Scores are compared, not ids: which of two equal products is listed makes no difference.
    """
    hits = 0
    for vector, score in zip(queries, kth, strict=True):
        answer = index.search(query_of(side, vector, RECALL_AT, filters))
        hits += sum(hit >= float(score) - SCORE_TOLERANCE for _, hit in answer)
    possible = len(queries) * min(RECALL_AT, index.count)
    return hits / possible if possible else 1.0


def query_of(
    side: Side, vector: NDArray[np.float32], top_k: int, filters: Filters = NO_FILTERS
) -> SearchQuery:
    """A search by one vector, float32 (dim,), as an image or as a text."""
    if side == "image":
        return SearchQuery(top_k, image=vector, filters=filters)
    return SearchQuery(top_k, text=vector, filters=filters)


def tune(
    index: ProductIndex,
    side: Side,
    queries: NDArray[np.float32],
    kth: NDArray[np.float32],
    target: float = TARGET,
) -> SearchParameters:
    """The cheapest parameters of a side that reach the target recall.

    If none reach it, the result is the parameters with the highest recall.
    """
    lists = index.list_count
    rows = index.count / max(lists, 1)
    pairs = [(n, depth) for n in LIST_CHOICES if n <= lists for depth in DEPTH_CHOICES]
    pairs.sort(key=lambda pair: pair[0] * rows * ROW_COST + pair[1] * CANDIDATE_COST)
    before, best = index.parameters, (-1.0, index.parameters)
    for count, depth in pairs if lists and len(queries) else []:
        parameters = replace(before, **{f"{side}_lists": count, f"{side}_depth": depth})
        index.parameters = parameters
        if recall(index, side, queries[:PILOT_QUERIES], kth[:PILOT_QUERIES]) < target - 0.05:
            continue
        share = recall(index, side, queries, kth)
        best = max(best, (share, parameters), key=lambda pair: pair[0])
        if share >= target:
            break
    index.parameters = before
    return best[1]


def self_recall(index: ProductIndex, vectors: NDArray[np.float16]) -> float:
    """Share of products, (n, dim), that are first, or equal to the first, for their own vector."""
    answers = [index.search(SearchQuery(1, image=row.astype(np.float32))) for row in vectors]
    own = np.square(vectors.astype(np.float64)).sum(axis=1)
    right = sum(
        bool(hits) and hits[0][1] >= score - SCORE_TOLERANCE
        for hits, score in zip(answers, own, strict=True)
    )
    return right / len(vectors) if len(vectors) else 1.0
