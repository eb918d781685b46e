"""Tuning for catalogues where hundreds of products are nearly alike, as a text query sees them."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.index.build import IndexWriter
from models.index.files import open_files
from models.index.product_index import ProductIndex
from models.index.quality import TARGET, ground_truth, recall, tune
from models.index.shapes import ProductAttributes

ROWS, ALIKE, DIM = 20_480, 1024, 64


def unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / lengths


def test_as_many_are_rescored_as_it_takes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    kinds = unit(rng.normal(size=(ROWS // ALIKE, DIM)))
    items = unit(np.repeat(kinds, ALIKE, 0) + rng.normal(0, 0.05 / DIM**0.5, (ROWS, DIM)))
    noisy = kinds[rng.integers(0, len(kinds), 40)] / 2 + rng.normal(0, DIM**-0.5, (40, DIM))
    queries = unit(noisy).astype(np.float32)
    with IndexWriter(tmp_path) as writer:
        for row, vector in enumerate(items.astype(np.float16)):
            writer.add(f"p{row:05}", vector, ProductAttributes("a", None, 1, True))
        writer.finish()
    files = open_files(tmp_path)
    index, kth = ProductIndex(files), ground_truth(files.vectors, queries).kth
    assert recall(index, "text", queries, kth) < 0.5
    index.parameters = tune(index, "text", queries, kth)
    assert index.parameters.text_depth >= ALIKE
    assert recall(index, "text", queries, kth) >= TARGET
