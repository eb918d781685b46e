"""The product index beside exact FAISS and other indexes: speed at equal recall, memory, filters.

Run: python -m benchmarks.index.scale --vectors ../shared/bench/vectors.py [--peers FOLDER]
     python -m benchmarks.index.scale --vectors … --only "ours,ours on cuda" --counts 100000

Every system answers one query at a time on one thread, image and text queries apart, at its
smallest setting with recall at 10 of at least 0.95. Times are CPU time of this process, since
the machine may be shared; pgvector, LanceDB and a GPU work outside of it: wall time.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.index import peers as index_peers
from benchmarks.index.limits import filter_table, memory_lines
from benchmarks.index.peers import K, Peer, Vectors
from benchmarks.report import keep, load_average
from benchmarks.search.clip_like import clip_like
from benchmarks.search.starter_vectors import starter_vectors
from models.index.build import IndexWriter
from models.index.files import open_files
from models.index.product_index import ProductIndex
from models.index.quality import Side, ground_truth, query_of, tune
from models.index.shapes import ProductAttributes
from models.index.stats import SearchParameters

FLOOR, ROUNDS, FLAT_QUERIES, ALL_PEERS = 0.95, 3, 30, 100_000
BUILDERS: dict[str, Callable[[Vectors, Path], Peer]] = {
    "flat": index_peers.flat,
    "FAISS HNSW32": index_peers.faiss_hnsw,
    "hnswlib": index_peers.hnswlib,
    "USearch f32": index_peers.usearch_of("f32"),
    "USearch i8 rescored": index_peers.usearch_of("i8"),
    "LanceDB IVF_PQ": index_peers.lancedb,
}
Make = Callable[[int], tuple[NDArray[Any], ...]]
SIDES: tuple[Side, Side] = ("image", "text")


class Data:
    """Vectors and queries of one kind and size, generated once and kept in the folder."""

    def __init__(self, make: Make, folder: Path, count: int, title: str = "") -> None:
        path = folder / f"data-{count}.npz"
        if not path.exists():
            items, categories, images, texts = make(count)
            np.save(folder / f"data-{count}.npy", items)
            np.savez(path, categories=categories, images=images, texts=texts)
        arrays = np.load(path)
        self.count = count
        self.items: Vectors = np.load(folder / f"data-{count}.npy", mmap_mode="r")
        self.title = f"{title}{count:,} × {self.items.shape[1]}"
        self.categories: NDArray[np.int32] = arrays["categories"]
        self.queries: dict[Side, Vectors] = {"image": arrays["images"], "text": arrays["texts"]}
        self.price = np.random.default_rng(5).permutation(count)
        self.truth = {side: self.nearest(queries) for side, queries in self.queries.items()}

    def nearest(self, queries: Vectors, rows: NDArray[np.int64] | None = None) -> list[set[int]]:
        """The ten nearest rows of each query, among all or some."""
        exact: Any = faiss.IndexFlatIP(self.items.shape[1])
        exact.add(np.ascontiguousarray(self.items if rows is None else self.items[rows]))
        results = exact.search(queries, K)[1]
        return [set(row[row >= 0] if rows is None else rows[row[row >= 0]]) for row in results]

    def attributes(self, row: int) -> ProductAttributes:
        return ProductAttributes(
            f"c{self.categories[row]}", f"b{row % 40}", int(self.price[row]) * 10_000, row % 3 > 0
        )


def build_ours(data: Data, folder: Path) -> tuple[Path, float]:
    """Files of a version, and the CPU seconds that writing and learning took."""
    files, note = folder / f"files-{data.count}", folder / f"files-{data.count}.json"
    if not note.exists():
        files.mkdir(exist_ok=True)
        started = time.process_time()
        with IndexWriter(files) as writer:
            for row, vector in enumerate(np.asarray(data.items)):
                writer.add(f"p{row:08}", vector.astype(np.float16), data.attributes(row))
            writer.finish()
        note.write_text(json.dumps(time.process_time() - started))
    return files, json.loads(note.read_text())


def ours(data: Data, files: Path, device: str | None) -> Peer:
    """The whole product path: `ProductIndex.search`, ids and exact scores."""
    index = ProductIndex(open_files(files), device=device)
    vectors = open_files(files).vectors
    parameters: dict[Side, SearchParameters] = {}
    for side in SIDES:
        queries = data.queries[side]
        parameters[side] = tune(index, side, queries, ground_truth(vectors, queries).kth, FLOOR)

    def search(query: NDArray[np.float32], side: Side) -> list[int]:
        index.parameters = parameters[side]
        hits = index.search(query_of(side, query, K))
        return [int(product_id[1:]) for product_id, _ in hits]

    size = sum(path.stat().st_size for path in files.iterdir()) / data.count
    return Peer(search, SIDES, size, is_own_process=device is None)


def recall(results: list[set[int]], truth: list[set[int]]) -> float:
    """Share of the true neighbours that were found."""
    return sum(len(a & b) for a, b in zip(results, truth, strict=True)) / sum(map(len, truth))


def measure(peer: Peer, data: Data, side: Side) -> tuple[Any, float, float]:
    """Smallest setting of recall 0.95, its recall, and queries a second there."""
    queries = data.queries[side]
    if len(peer.settings) == 1:  # exact: few queries tell its speed
        queries = queries[:FLAT_QUERIES]
    settings = [side] if peer.settings is SIDES else peer.settings
    for setting in settings:
        results = [set(map(int, peer.search(query, setting))) for query in queries]
        share = recall(results, data.truth[side][: len(queries)])
        if share >= FLOOR:
            break
    return setting, share, speed(peer, setting, queries)


def speed(peer: Peer, setting: Any, queries: Vectors) -> float:
    """Queries a second, the median of a few rounds."""
    clock = time.process_time if peer.is_own_process else time.perf_counter
    rates = []
    for _ in range(ROUNDS):
        started = clock()
        for query in queries:
            peer.search(query, setting)
        rates.append(len(queries) / (clock() - started))
    return statistics.median(rates)


def compare(name: str, peer: Peer, exact: Peer, data: Data, build_s: float) -> dict[str, Any]:
    """A row of the table: each figure beside exact FAISS, timed right before and after it."""
    row: dict[str, Any] = {"name": name, "build_s": build_s, "bytes": peer.bytes_per_vector}
    for side in SIDES:
        few = data.queries[side][:FLAT_QUERIES]
        before = speed(exact, 0, few)
        setting, share, rate = measure(peer, data, side)
        ratio = rate / statistics.mean([before, speed(exact, 0, few)])
        row[side] = {"setting": str(setting), "recall": share, "rate": rate, "ratio": ratio}
    print(json.dumps(row), flush=True)
    return row


def run_size(data: Data, folder: Path, names: list[str]) -> list[dict[str, Any]]:
    """Every system at one size; finished rows are kept, so that a broken run goes on."""
    vectors, rows = np.ascontiguousarray(data.items), []
    exact = index_peers.flat(vectors, folder)
    for name in names:
        path = folder / f"row-{data.count}-{name.split()[0]}-{len(name)}.json"
        if not path.exists():
            with ExitStack() as stack:
                started = time.process_time()
                if name.startswith("ours"):
                    files, build_s = build_ours(data, folder)
                    peer = ours(data, files, name.removeprefix("ours").removeprefix(" on ") or None)
                elif name == "pgvector HNSW":
                    wall = time.perf_counter()
                    peer = stack.enter_context(index_peers.pgvector(vectors))
                    build_s = time.perf_counter() - wall
                else:
                    try:
                        peer = BUILDERS[name](vectors, folder)
                    except ImportError as error:
                        print(f"{name} was left out: {error}", flush=True)
                        continue
                    build_s = time.process_time() - started
                path.write_text(json.dumps(compare(name, peer, exact, data, build_s)))
        rows.append(json.loads(path.read_text()))
    return rows


def table(data: Data, rows: list[dict[str, Any]]) -> list[str]:
    """The rows as Markdown."""
    lines = [
        f"\n## {data.title}\n",
        "| system | build s | bytes a vector | image: recall | q/s | × Flat "
        "| text: recall | q/s | × Flat | settings |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = [
            f"{row[side]['recall']:.3f}{'' if row[side]['recall'] >= FLOOR else ' (miss)'} | "
            f"{row[side]['rate']:,.0f} | {row[side]['ratio']:.1f}"
            for side in SIDES
        ]
        settings = f"{row['image']['setting']}; {row['text']['setting']}"
        lines.append(
            f"| {row['name']} | {row['build_s']:.1f} | {row['bytes']:,.0f} | "
            f"{cells[0]} | {cells[1]} | {settings} |"
        )
    return lines


def describe(data: Data, folder: Path, systems: list[str]) -> list[str]:
    """The section of one kind and size: ours beside the systems, filters, memory."""
    names = systems if any(name.startswith("ours") for name in systems) else ["ours", *systems]
    lines = table(data, run_size(data, folder, names))
    files, _ = build_ours(data, folder)
    lines += filter_table(files, data.queries, data.categories, data.price, data.nearest)
    return lines + memory_lines(files)


def main() -> None:
    """Measures what was asked for and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", type=Path, default=Path("../shared/bench/vectors.py"))
    parser.add_argument("--folder", type=Path, default=Path("/tmp/index_scale"))
    parser.add_argument("--peers", type=Path, help="where pip put the peers' packages")
    parser.add_argument("--only", default="", help="systems, separated by commas")
    parser.add_argument("--counts", default="100000,500000")
    parser.add_argument("--starter", type=int, default=60_000, help="drawn garments; 0: none")
    args = parser.parse_args()
    if not args.vectors.exists():
        print(f"benchmarks.index.scale was left out: {args.vectors} is not there")
        return
    if args.peers:
        sys.path.append(str(args.peers))
    faiss.omp_set_num_threads(1)
    args.folder.mkdir(parents=True, exist_ok=True)
    host = f"{os.cpu_count()} cores, load {load_average():.1f}"
    lines = ["# Search at scale\n", "Every system" + (__doc__ or "").split("Every system")[1]]
    lines.append(f"FAISS {faiss.__version__}, numpy {np.__version__}, {host} at the start.")
    for count in map(int, filter(None, args.counts.split(","))):
        data = Data(partial(clip_like, args.vectors), args.folder, count)
        everyone = [*BUILDERS, "pgvector HNSW"] if count <= ALL_PEERS else ["flat"]
        lines += describe(data, args.folder, args.only.split(",") if args.only else everyone)
    if args.starter:
        folder = args.folder / "starter"
        folder.mkdir(exist_ok=True)
        data = Data(starter_vectors, folder, args.starter, "The starter embedder's: ")
        lines += describe(data, folder, ["flat", "FAISS HNSW32", "hnswlib", "USearch i8 rescored"])
    keep("index_scale", lines)


if __name__ == "__main__":
    main()
