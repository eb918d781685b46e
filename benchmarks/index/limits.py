"""Sections of `benchmarks.index.scale` on the product's index alone: filters, resident memory."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.index.files import empty_files, open_files
from models.index.product_index import ProductIndex
from models.index.quality import Side, ground_truth, query_of, tune
from models.index.shapes import NO_FILTERS, PRICE_SCALE, Filters, SearchQuery

K, QUERIES = 10, 100
Nearest = Callable[[NDArray[np.float32], NDArray[np.int64] | None], list[set[int]]]
MIB = 1 << 20


def filters(
    count: int, categories: NDArray[np.int32], price: NDArray[np.int64]
) -> dict[str, tuple[Filters, NDArray[np.bool_]]]:
    """Name -> filter and the rows it allows; three follow the vectors, five don't."""
    sizes = np.bincount(categories)
    largest, middle = int(sizes.argmax()), int(np.argsort(sizes)[len(sizes) // 2])
    few = np.argsort(sizes)[::-1][:12]
    rows = np.arange(count)

    def cheaper(share: float) -> tuple[Filters, NDArray[np.bool_]]:
        return Filters(price_max_e4=int(share * count) * PRICE_SCALE), price <= share * count

    def among(codes: NDArray[np.int64]) -> tuple[Filters, NDArray[np.bool_]]:
        names = frozenset(f"c{code}" for code in codes)
        return Filters(category=names), np.isin(categories, codes)

    return {
        "price, 0.1 %": cheaper(0.001),
        "price, 1 %": cheaper(0.01),
        "brand, 2.5 %": (Filters(brand=frozenset({"b7"})), rows % 40 == 7),
        "price, 10 %": cheaper(0.1),
        "a middling category": among(np.array([middle])),
        "the largest category": among(np.array([largest])),
        "twelve categories in stock": (
            Filters(category=among(few)[0].category, in_stock=True),
            among(few)[1] & (rows % 3 > 0),
        ),
        "price, 90 %": cheaper(0.9),
    }


def filter_table(
    files: Path,
    queries: dict[Side, NDArray[np.float32]],
    categories: NDArray[np.int32],
    price: NDArray[np.int64],
    nearest: Nearest,
) -> list[str]:
    """Recall, milliseconds (CPU) and disallowed rows of each filter, at the served settings."""
    opened = open_files(files)
    index = ProductIndex(opened)
    for side, of_side in queries.items():
        index.parameters = tune(index, side, of_side, ground_truth(opened.vectors, of_side).kth)
    lines = [
        f"\n### Eight filters at {index.count:,}, settings as served ({index.parameters})\n",
        "| filter | rows | image: recall | ms | text: recall | ms | disallowed ids |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, (filter_values, allowed) in filters(index.count, categories, price).items():
        cells, wrong = [], 0
        for side, of_side in queries.items():
            few = of_side[:QUERIES]
            truth = nearest(few, np.flatnonzero(allowed))
            started, results = time.process_time(), []
            for query in few:
                hits = index.search(query_of(side, query, K, filter_values))
                results.append({int(product_id[1:]) for product_id, _ in hits})
            spent_ms = 1000 * (time.process_time() - started) / len(few)
            wrong += sum(not allowed[row] for rows in results for row in rows)
            right = sum(len(a & b) for a, b in zip(results, truth, strict=True))
            cells.append(f"{right / sum(map(len, truth)):.3f} | {spent_ms:.2f}")
        lines.append(f"| {name} | {allowed.sum():,} | {cells[0]} | {cells[1]} | {wrong} |")
        print(lines[-1], flush=True)
    return lines


def memory_lines(files: Path) -> list[str]:
    """Resident anonymous bytes a vector: a process with the index against one without."""
    with_index, without = (rss_anon(argument) for argument in (str(files), ""))
    count = len(open_files(files).ids)
    each = (with_index - without) / count
    line = (
        f"\nRssAnon with {count:,} products after 200 searches, with and without filters: "
        f"{with_index / MIB:.1f} MiB; of the same process without products: "
        f"{without / MIB:.1f} MiB: **{each:.0f} bytes a vector** (the vectors are mapped)."
    )
    print(line, flush=True)
    return [line]


def rss_anon(argument: str) -> int:
    """Bytes, in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.index.limits", argument]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
    return int(json.loads(done.stdout))


def main() -> None:
    """Child process: opens what it is told to, searches, tells its resident memory."""
    folder = sys.argv[1]
    index = ProductIndex(open_files(Path(folder)) if folder else empty_files(512))
    random = np.random.default_rng(0)
    for turn in range(200):
        query = random.normal(size=index.dim).astype(np.float32)
        bound_e4 = 1000 * (turn % 20) * PRICE_SCALE
        one_filter = Filters(in_stock=True, price_max_e4=bound_e4) if turn % 2 else NO_FILTERS
        index.search(SearchQuery(K, image=query / np.linalg.norm(query), filters=one_filter))
    status = Path("/proc/self/status").read_text()
    print(1024 * int(status.split("RssAnon:")[1].split()[0]))


if __name__ == "__main__":
    main()
