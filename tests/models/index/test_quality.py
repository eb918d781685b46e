"""Knobs for catalogues whose products are nearly alike by the hundred, as words see them."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.index.build import IndexWriter
from models.index.columns import ProductAttributes
from models.index.files import open_files
from models.index.product_index import ProductIndex
from models.index.quality import TARGET, recall, survey, tune

ROWS, ALIKE, DIM = 20_480, 1024, 64


def unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / lengths


def test_as_many_are_rescored_as_it_takes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    kinds = unit(rng.normal(size=(ROWS // ALIKE, DIM)))
    items = unit(np.repeat(kinds, ALIKE, 0) + rng.normal(0, 0.05 / DIM**0.5, (ROWS, DIM)))
    asked = kinds[rng.integers(0, len(kinds), 40)] / 2 + rng.normal(0, DIM**-0.5, (40, DIM))
    queries = unit(asked).astype(np.float32)
    with IndexWriter(tmp_path) as writer:
        for row, vector in enumerate(items.astype(np.float16)):
            writer.add(f"p{row:05}", vector, ProductAttributes("a", None, 1, True))
        writer.finish()
    files = open_files(tmp_path)
    index, kth = ProductIndex(files), survey(files.vectors, queries).kth
    assert recall(index, "text", queries, kth) < 0.5
    index.knobs = tune(index, "text", queries, kth)
    assert index.knobs.text_depth >= ALIKE
    assert recall(index, "text", queries, kth) >= TARGET
