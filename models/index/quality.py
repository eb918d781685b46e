"""How good an index is: exact neighbours of sample queries, recall against them, tuned knobs."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.index.columns import RowFilter
from models.index.product_index import ProductIndex
from models.index.stats import ScanKnobs

RECALL_AT = 10
TARGET = 0.97
"""What the knobs are tuned to."""
NOISE = 0.3
"""Length of the disturbance that makes a product's vector a query nobody has seen."""
BLOCK_ROWS = 8192
SAME = 2e-6
"""Scores this near are one: both are rounded or in single precision."""
LIST_CHOICES = (1, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
DEPTH_CHOICES = (50, 100, 200, 400, 800, 1600, 3200, 6400)
ROW_COST = 7
"""Nanoseconds a scanned row takes, and a candidate read and rescored; both as measured."""
CANDIDATE_COST = 400
GLANCE = 40
"""Queries that tell hopeless knobs."""

Side = Literal["image", "text"]


@dataclass(frozen=True)
class Survey:
    """Sample queries against every row: `kth`, float32 (q,), is each one's tenth best score."""

    kth: NDArray[np.float32]
    mean: float
    std: float


def survey(vectors: NDArray[np.float16], queries: NDArray[np.float32]) -> Survey:
    """Compares unit queries, float32 (q, dim), with a catalogue, (n, dim), block by block."""
    if not len(vectors) or not len(queries):
        return Survey(np.zeros(len(queries), dtype=np.float32), 0.0, 1.0)
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
    return Survey(top.min(axis=1), total / count if count > 1 else 0.0, max(std, 1e-6))


def unseen(vectors: NDArray[np.float16]) -> NDArray[np.float32]:
    """Queries like the products, (n, dim), but not among them: float32, unit rows."""
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
    where: RowFilter | None = None,
) -> float:
    """Share of the true ten nearest that are found; 1.0 without queries.

    Scores are compared, not ids: which of two equal products is listed makes no difference.
    """
    found = expected = 0
    possible = min(RECALL_AT, index.count)
    for query, score in zip(queries, kth, strict=True):
        given = {"image": query} if side == "image" else {"text": query}
        hits = index.search(RECALL_AT, **given, where=where or RowFilter())
        found += sum(hit >= float(score) - SAME for _, hit in hits)
        expected += possible
    return found / expected if expected else 1.0


def tune(
    index: ProductIndex,
    side: Side,
    queries: NDArray[np.float32],
    kth: NDArray[np.float32],
    target: float = TARGET,
) -> ScanKnobs:
    """The cheapest knobs of a side that reach the target, else the best ones."""
    lists = index.list_count
    rows = index.count / max(lists, 1)
    pairs = [(n, depth) for n in LIST_CHOICES if n <= lists for depth in DEPTH_CHOICES]
    pairs.sort(key=lambda pair: pair[0] * rows * ROW_COST + pair[1] * CANDIDATE_COST)
    before, reached = index.knobs, (-1.0, index.knobs)
    for count, depth in pairs if lists and len(queries) else []:
        knobs = replace(before, **{f"{side}_lists": count, f"{side}_depth": depth})
        index.knobs = knobs
        if recall(index, side, queries[:GLANCE], kth[:GLANCE]) < target - 0.05:
            continue
        share = recall(index, side, queries, kth)
        reached = max(reached, (share, knobs), key=lambda pair: pair[0])
        if share >= target:
            break
    index.knobs = before
    return reached[1]


def find_themselves(index: ProductIndex, vectors: NDArray[np.float16]) -> float:
    """Share of products, (n, dim), whose own vector finds them, or an equal one, first."""
    first = [index.search(1, image=vector.astype(np.float32)) for vector in vectors]
    own = np.square(vectors.astype(np.float64)).sum(axis=1)
    right = sum(bool(hits) and hits[0][1] >= s - SAME for hits, s in zip(first, own, strict=True))
    return right / len(vectors) if len(vectors) else 1.0
