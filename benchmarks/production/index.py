"""The GPU's scan of the index at 100,000 and a million vectors: speed, recall, filters.

FAISS isn't needed: `DeviceIndex` finds candidates, which are rescored here as `ProductIndex`
does it, from half precision in double, with numpy.
"""

import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.production.section_run import SectionRun
from benchmarks.search.clip_like import clip_like
from models.index.device_index import DeviceIndex

K, DEPTH, DECIMALS = 10, 200, 6
"""Neighbours asked for, candidates rescored and places kept, as the index is served."""
LONE, FILTERED, ON_CPU, CHUNK = 300, 100, 30, 100
FLAT_ROWS = 100_000
Vectors = NDArray[np.float32]
Halves = NDArray[np.float16]
Bits = NDArray[np.uint8]
Search = Callable[[Vectors], NDArray[np.int64]]


def measure_index(run: SectionRun) -> None:
    """All sizes in turn."""
    if not run.vectors.exists():
        run.say("Left out: --vectors names no file here.")
        return
    for count in run.counts:
        measure_size(run, count)


def measure_size(run: SectionRun, count: int) -> None:
    """Lone queries on the device, exact ones on one CPU thread beside them, and eight filters."""
    started = time.perf_counter()
    items, categories, images, texts = clip_like(run.vectors, count)
    halves = items.astype(np.float16)
    made_s = time.perf_counter() - started
    started = time.perf_counter()
    scan = DeviceIndex(halves, run.device)
    run.sync()
    loaded_s = time.perf_counter() - started
    exact = torch.from_numpy(items).to(run.device)
    sides = {"image": images, "text": texts}
    run.say(
        f"\n### {count:,} × {items.shape[1]}\n",
        f"Vectors were made in {made_s:.1f} s and brought to the device in {loaded_s:.2f} s.\n",
        "| lone queries | system | median ms | 95 % ms | q/s | recall@10 |",
        "| --- | --- | --- | --- | --- | --- |",
    )
    for side, queries in sides.items():
        truth = nearest(exact, queries, None)

        def ours(query: Vectors) -> NDArray[np.int64]:
            return search(scan, halves, query, None)

        def candidates(query: Vectors) -> NDArray[np.int64]:
            return scan.search(query, DEPTH, 1, None)

        run.say(lone_row(side, "scan and exact rescoring", ours, queries[:LONE], truth))
        run.say(lone_row(side, "the scan alone", candidates, queries[:LONE], None))
        if count <= FLAT_ROWS:
            run.say(flat_row(side, items, queries[:ON_CPU], truth))
    filter_table(run, scan, halves, exact, sides, masks(count, categories))


def search(
    scan: DeviceIndex, halves: Halves, query: Vectors, bits: Bits | None
) -> NDArray[np.int64]:
    """The k best rows, equal scores in order of row, as `ProductIndex.search` ranks them."""
    rows = scan.search(query, DEPTH, 1, bits)
    scores = halves.take(rows, axis=0).astype(np.float64) @ query.astype(np.float64)
    order = np.lexsort((rows, -scores.round(DECIMALS)))
    return rows[order[:K]]


def nearest(
    exact: torch.Tensor, queries: Vectors, allowed: NDArray[np.bool_] | None
) -> list[set[int]]:
    """The true ten of each query in single precision, among all rows or the allowed ones."""
    results: list[set[int]] = []
    banned = None if allowed is None else torch.from_numpy(~allowed).to(exact.device)
    for start in range(0, len(queries), CHUNK):
        chunk = torch.from_numpy(queries[start : start + CHUNK]).to(exact.device)
        scores = chunk @ exact.T
        if banned is not None:
            scores.masked_fill_(banned, -torch.inf)
        best = scores.topk(min(K, scores.shape[1]))
        results += [
            {row for row, score in zip(rows, values, strict=True) if score > -np.inf}
            for rows, values in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]
    return results


def lone_row(
    side: str, name: str, find: Search, queries: Vectors, truth: list[set[int]] | None
) -> str:
    """One query after another: every answer is waited for, as it arrives as numpy."""
    for query in queries[:5]:
        find(query)
    spent, right, there = [], 0, 0
    for place, query in enumerate(queries):
        started = time.perf_counter()
        rows = find(query)
        spent.append(time.perf_counter() - started)
        if truth is not None:
            right += len(set(rows.tolist()) & truth[place])
            there += len(truth[place])
    share = f"{right / there:.4f}" if truth is not None else "–"
    late = float(np.percentile(spent, 95))
    rate = len(spent) / sum(spent)
    return (
        f"| {side} | {name} | {1000 * median(spent):.2f} | {1000 * late:.2f} | {rate:,.0f} "
        f"| {share} |"
    )


def flat_row(side: str, items: Vectors, queries: Vectors, truth: list[set[int]]) -> str:
    """Every row compared in single precision by one thread of the CPU."""
    rows = torch.from_numpy(items)

    def find(query: Vectors) -> NDArray[np.int64]:
        results: NDArray[np.int64] = (rows @ torch.from_numpy(query)).topk(K).indices.numpy()
        return results

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return lone_row(side, "exact, one CPU thread", find, queries, truth)
    finally:
        torch.set_num_threads(threads)


def masks(count: int, categories: NDArray[np.int32]) -> dict[str, NDArray[np.bool_]]:
    """The eight filters of `benchmarks.index.limits`: five don't follow the vectors, three do."""
    price, rows = np.random.default_rng(5).permutation(count), np.arange(count)
    sizes = np.bincount(categories)
    largest = np.argsort(sizes)[::-1][: np.count_nonzero(sizes)]
    return {
        "price, 0.1 %": price < 0.001 * count,
        "price, 1 %": price < 0.01 * count,
        "brand, 2.5 %": rows % 40 == 7,
        "price, 10 %": price < 0.1 * count,
        "a middling category": categories == largest[len(largest) // 2],
        "the largest category": categories == largest[0],
        "twelve categories in stock": np.isin(categories, largest[:12]) & (rows % 3 > 0),
        "price, 90 %": price < 0.9 * count,
    }


def filter_table(
    run: SectionRun,
    scan: DeviceIndex,
    halves: Halves,
    exact: torch.Tensor,
    sides: dict[str, Vectors],
    allowed_by: dict[str, NDArray[np.bool_]],
) -> None:
    """Recall, milliseconds and disallowed rows of each filter."""
    run.say(
        "\nFilters inside the scan (the index answers those of at most 1,000 rows or 1 % exactly, "
        "without it):\n",
        "| filter | rows | image: recall@10 | ms | text: recall@10 | ms | disallowed ids |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    )
    for name, allowed in allowed_by.items():
        bits = np.packbits(allowed, bitorder="little")
        cells, wrong = [], 0
        for queries in sides.values():
            few = queries[:FILTERED]
            truth = nearest(exact, few, allowed)
            search(scan, halves, few[0], bits)
            started = time.perf_counter()
            results = [search(scan, halves, query, bits) for query in few]
            spent_ms = 1000 * (time.perf_counter() - started) / len(few)
            wrong += sum(int((~allowed[rows]).sum()) for rows in results)
            pairs = zip(results, truth, strict=True)
            right = sum(len(set(rows.tolist()) & true) for rows, true in pairs)
            cells.append(f"{right / sum(map(len, truth)):.4f} | {spent_ms:.2f}")
        run.say(f"| {name} | {allowed.sum():,} | {cells[0]} | {cells[1]} | {wrong} |")
