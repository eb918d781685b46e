"""What totals, facets, orders, groups and pages cost: times of one index, beside the bare search.

`python -m benchmarks.index.answers [--products 100000]` writes a table. Times are CPU time of one
thread. The bare search is `ProductIndex.search`: the ten nearest products, without a count.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.report import head, keep
from models.index.answers.answer import answer_many
from models.index.build import IndexWriter
from models.index.check import check_index
from models.index.files import open_files
from models.index.product_index import ProductIndex
from models.index.shapes import Filters, ProductAttributes, SearchQuery

DIM, CENTRES, QUERIES, CHANGES = 512, 300, 100, 2000
FACETS = ("category", "brand", "inStock", "price", "attributes.colour")
Vectors = list[NDArray[np.float32]]
FILTERS = Filters(price_max_e4=1_000_000, in_stock=True)


class ClusteredShop:
    """Products in overlapping clusters, as text and image queries see them."""

    def __init__(self, count: int) -> None:
        self._random = np.random.default_rng(0)
        self._centres = self._random.normal(size=(CENTRES, DIM))
        self._labels = self._random.integers(CENTRES, size=count)

    def write(self, folder: Path) -> None:
        """Writes an index version."""
        with IndexWriter(folder) as writer:
            for row, label in enumerate(self._labels.tolist()):
                writer.add(f"p{row:07}", self._near(label, 0.8), self._attributes(row, label))
            writer.finish()

    def queries(self, noise: float) -> Vectors:
        """Vectors near the clusters."""
        labels = self._random.integers(CENTRES, size=QUERIES)
        return [self._near(label, noise).astype(np.float32) for label in labels.tolist()]

    def change(self, index: ProductIndex) -> None:
        """Gives products other vectors, and adds some."""
        for turn, row in enumerate(self._random.integers(len(self._labels), size=CHANGES).tolist()):
            label = int(self._labels[row])
            product_id = f"{'pq'[turn % 2]}{row:07}"
            index.put(product_id, self._near(label, 0.8), self._attributes(row, label))

    def _near(self, label: int, noise: float) -> NDArray[np.float16]:
        vector = self._centres[label] + noise * self._random.normal(size=DIM)
        unit: NDArray[np.float16] = (vector / np.linalg.norm(vector)).astype(np.float16)
        return unit

    def _attributes(self, row: int, label: int) -> ProductAttributes:
        return ProductAttributes(
            f"c{label % 40}",
            f"b{row % 200}",
            price_e4=int(self._random.integers(5, 200)) * 10_000,
            in_stock=row % 5 != 0,
            currency="EUR",
            group_id=f"g{row // 4}",
            created_us=row,
            facts=(("colour", f"k{row % 12}"), ("size", f"s{row % 7}"), ("cut", f"m{row % 30}")),
        )


def measure(queries: Vectors, answer: Callable[[NDArray[np.float32]], int]) -> str:
    """Cells of a row: median and 95th percentile in ms, and the median of what it returns."""
    times, totals = [], []
    for vector in [*queries[:10], *queries]:
        started_s = time.thread_time()
        totals.append(answer(vector))
        times.append(1000 * (time.thread_time() - started_s))
    p50, p95 = np.percentile(times[10:], [50, 95])
    return f"{p50:.2f} | {p95:.2f} | {np.median(totals):,.0f} |"


def table(index: ProductIndex, shop: ClusteredShop) -> list[str]:
    """The lines of the table."""
    lines = ["| search | p50 ms | p95 ms | total |", "| --- | --- | --- | --- |"]
    for side, noise in (("image", 0.8), ("text", 3.0)):
        queries = shop.queries(noise)

        def query(vector: NDArray[np.float32], side: str = side, **fields: Any) -> SearchQuery:
            vectors: dict[str, Any] = {side: vector}
            return SearchQuery(10, **vectors, **fields)

        def total(vector: NDArray[np.float32], **fields: Any) -> int:
            return answer_many(index, [query(vector, **fields)])[0].total

        end = answer_many(index, [query(queries[0])])[0].end
        kinds: dict[str, dict[str, Any]] = {
            "": {}, ", filters": {"filters": FILTERS}, ", five facets": {"facets": FACETS},
            ", five facets, filters": {"facets": FACETS, "filters": FILTERS},
            ", second page": {"after": end}, ", by price": {"sort": "priceAsc"},
            ", groups": {"is_grouped": True},
            ", groups, five facets": {"is_grouped": True, "facets": FACETS},
        }  # fmt: skip
        bare = measure(queries, lambda vector: len(index.search(query(vector))))
        lines.append(f"| {side}, bare | {bare}")
        for name, fields in kinds.items():
            lines.append(f"| {side}{name} | {measure(queries, partial(total, **fields))}")
    return lines


def main() -> None:
    """Builds the index in a temporary folder and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=100_000)
    count = parser.parse_args().products
    faiss.omp_set_num_threads(1)
    shop = ClusteredShop(count)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shop.write(folder)
        checked = check_index(folder, shop.queries(3.0))
        index = ProductIndex(open_files(folder), checked.scores, checked.parameters)
        shop.change(index)
        title = f"{count:,} products of {DIM} numbers, {CHANGES:,} changed since: CPU time"
        command = head(f"python -m benchmarks.index.answers --products {count}")
        lines = ["# Answers of an index", "", command, "", title, "", *table(index, shop)]
        keep("index_answers", lines)


if __name__ == "__main__":
    main()
