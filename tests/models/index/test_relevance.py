"""Similarities from codes: the same for every row, whether it is in the version or appended."""

from typing import Any

import faiss
import numpy as np
import pytest

from models.index import approximate
from models.index.approximate import train_approximate
from models.index.relevance import LEAST, NEVER, CodeScan


def unit_rows(count: int, dim: int, rank: int) -> Any:
    random = np.random.default_rng(0)
    rows = random.normal(size=(count, rank)) @ random.normal(size=(rank, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


@pytest.mark.parametrize(
    ("lists", "rank"), [(1, 32), (40, 32), (1, 8)], ids=["one", "many", "rotated"]
)
def test_a_row_has_the_same_similarity_in_the_version_and_appended(
    monkeypatch: pytest.MonkeyPatch, lists: int, rank: int
) -> None:
    monkeypatch.setattr(approximate, "EXACT_ROWS", 100)
    monkeypatch.setattr(approximate, "LIST_ROWS", 100 if lists > 1 else 10_000)
    vectors = unit_rows(2000, 32, rank)
    index = train_approximate(vectors)
    assert index is not None
    assert isinstance(index.index, faiss.IndexPreTransform) == (rank < 32)
    index.add(np.arange(1000), vectors[:1000].astype(np.float32))
    scan = CodeScan(index.index)
    scan.append(np.arange(1000, 2000), vectors[:1000])
    scan.append(np.arange(2000, 2001), vectors[1500:1501])
    query = vectors[3].astype(np.float32)
    every = scan.similarities(query, 2002, None)
    assert np.array_equal(every[:1000], every[1000:2000])
    exact = vectors[:1000].astype(np.float32) @ query
    assert np.corrcoef(every[:1000], exact)[0, 1] > 0.9 and every[2001] == LEAST
    for floor in (-5.0, -1.0, 0.0, 0.3, 0.9, 5.0):
        some = scan.similarities(query, 2002, floor)
        reached = some > NEVER
        assert np.array_equal(some[reached], every[reached])
        assert not (every[~reached][:-1] >= floor + 0.01).any()
        assert not (every[reached] < floor - 0.01).any()
    scan.clear()
    assert (scan.similarities(query, 2002, None)[1000:] == LEAST).all()
