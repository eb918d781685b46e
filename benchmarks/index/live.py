"""Swaps, roll-backs and 100 writes a second under search load, on a real PostgreSQL.

Run: python -m benchmarks.index.live --data /tmp/index_scale   (after benchmarks.index.scale)

Four callers search a `LiveIndex` without pause while another process writes; the replica follows
as `deployments/index.py` makes it. Wall time, on a machine that may be shared.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import insert, text

from benchmarks.report import keep
from db.catalog import put_embedding, take_change_seq
from db.engine import Database
from db.migrate import upgrade
from db.tables import Product, ProductEmbedding, User
from integrations.blobs.local import LocalBlobStore
from local.servers.postgres import Postgres
from models.embedder.shapes import Embedding, pack_vector
from models.index.shapes import SearchQuery
from settings import Settings
from studio.index.build import build_version
from studio.index.files import cache_folder
from studio.index.live import LiveIndex
from studio.index.versions import switch_version
from studio.ports import Studio

COUNT, DIM, CALLERS, WRITES_PER_S, POLL_S = 100_000, 512, 4, 100, 0.2
BEFORE_S, BETWEEN_S = 15.0, 4.0
# Which of three versions answers, in turn: new ones that load, and steps back to the one before.
FIRST, SWAPS = 1, ((0, "load"), (1, "back"), (2, "load"), (1, "back")) * 2
STALE_S = 2.0


def vector_of(number: int) -> NDArray[np.float32]:
    """The vector of a write, different from all others."""
    vector = np.random.default_rng(number).normal(size=DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float16).astype(np.float32)


class Titles:
    """`studio.ports.Embedder` for titles that name one of the text queries."""

    def __init__(self, queries: NDArray[np.float32]) -> None:
        self._queries = queries

    async def version(self) -> str:
        return "bench"

    async def embed_texts(self, titles: Sequence[str]) -> list[Embedding]:
        return [Embedding("bench", self._queries[int(title)]) for title in titles]


async def fill(database: Database, items: NDArray[np.float32]) -> None:
    """The catalogue, as merchants would have put it."""
    owner = uuid4()
    async with database.transaction() as session:
        session.add(User(id=owner, email="m@example.com", password_hash="x", role="merchant"))
    for start in range(0, len(items), 5000):
        rows = range(start, min(start + 5000, len(items)))
        async with database.transaction() as session:
            await session.exec(insert(Product), params=[product(row, owner) for row in rows])
            vectors = [embedding(f"p{row:08}", items[row]) for row in rows]
            await session.exec(insert(ProductEmbedding), params=vectors)
    async with database.transaction() as session:
        query = text(f"SELECT setval('product_change_seq', {len(items)})")
        await session.exec(query)  # type: ignore[call-overload]


def product(row: int, owner: UUID) -> dict[str, Any]:
    """A row of the table `product`."""
    return {
        "id": f"p{row:08}", "owner_id": owner, "title": str(row % 500), "category": f"c{row % 30}",
        "price": Decimal(row), "currency": "EUR", "image_key": "products/x.jpg",
        "image_sha256": "x", "change_seq": row + 1,
    }  # fmt: skip


def embedding(product_id: str, vector: NDArray[np.float32]) -> dict[str, Any]:
    """A row of the table `product_embedding`."""
    packed = pack_vector(vector)
    return {"product_id": product_id, "embedder_version": "bench", "vector": packed,
            "image_sha256": "x"}  # fmt: skip


async def write(url: str) -> None:
    """Child process: 100 changes a second, one in five a deletion; prints each after its commit."""
    database, random, number = Database(url, pool_size=4), np.random.default_rng(1), 0
    started = time.monotonic()
    while True:
        product_id, is_gone = f"p{random.integers(COUNT):08}", number % 5 == 4
        async with database.transaction() as session:
            values = {"id": product_id, "seq": await take_change_seq(session), "gone": is_gone}
            statement = text(
                "UPDATE product SET change_seq = :seq,"
                " deleted_at = CASE WHEN :gone THEN now() END WHERE id = :id"
            )
            await session.exec(statement, params=values)  # type: ignore[call-overload]
            if not is_gone:
                row = ProductEmbedding(**embedding(product_id, vector_of(number)))
                await put_embedding(session, row)
        change = {"id": product_id, "gone": is_gone, "number": number, "at": time.time()}
        print(json.dumps(change), flush=True)
        number += 1
        await asyncio.sleep(max(0.0, started + number / WRITES_PER_S - time.monotonic()))


class LiveRun:
    """Searches and writes of the run: their times, failures and stale results."""

    def __init__(self, live: LiveIndex, queries: NDArray[np.float32]) -> None:
        self.live, self.queries = live, queries
        self.took: list[tuple[float, float]] = []
        self.version = ""
        self.failed = self.stale = self.writes = 0
        self.visible_s: list[float] = []
        self.gone_at: dict[str, float] = {}
        self.probes: set[asyncio.Task[None]] = set()

    async def search(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        while True:
            query = self.queries[random.integers(len(self.queries))]
            asked_at, started = time.time(), time.perf_counter()
            answer = await self.live.search(SearchQuery(10, "bench", image=query))
            self.took.append((asked_at, time.perf_counter() - started))
            self.version = answer.index_version
            scores = [score for _, score in answer.hits]
            self.failed += len(scores) != 10 or scores != sorted(scores, reverse=True)
            for product_id, _ in answer.hits:
                self.stale += asked_at - self.gone_at.get(product_id, asked_at) > STALE_S

    async def follow(self) -> None:
        while True:
            await self.live.sync()
            await asyncio.sleep(POLL_S)

    async def listen(self, writer: asyncio.subprocess.Process) -> None:
        assert writer.stdout is not None
        async for line in writer.stdout:
            change = json.loads(line)
            self.writes += 1
            self.gone_at.pop(change["id"], None)
            if change["gone"]:
                self.gone_at[change["id"]] = change["at"]
            elif change["number"] % 10 == 0:
                probe = asyncio.create_task(self.look_for(change))
                self.probes.add(probe)
                probe.add_done_callback(self.probes.discard)

    async def look_for(self, change: dict[str, Any]) -> None:
        """Measures how long after its commit a write appears in a search."""
        query = SearchQuery(1, "bench", image=vector_of(change["number"]))
        while (await self.live.search(query)).hits[0][0] != change["id"]:
            if time.time() - change["at"] > 5 * STALE_S:
                self.stale += change["id"] not in self.gone_at
                return
            await asyncio.sleep(0.02)
        self.visible_s.append(time.time() - change["at"])

    async def answering(self, version: str) -> None:
        """Waits until searches are answered by this version."""
        while self.version != version:  # noqa: ASYNC110 - searches tell it, there is no event
            await asyncio.sleep(0.005)

    def latency(self, windows: list[tuple[float, float]]) -> tuple[float, float, int]:
        """Median and 99th percentile in ms of the searches asked in any window, and how many."""
        inside = [t for at, t in self.took if any(low <= at <= high for low, high in windows)]
        p50, p99 = np.percentile(inside, [50, 99]) * 1000
        return float(p50), float(p99), len(inside)


async def measure(run: LiveRun, database: Database, versions: list[str], url: str) -> list[str]:
    """Measures searches without swaps, then during swaps and roll-backs."""
    command = (sys.executable, "-m", "benchmarks.index.live", "--write", url)
    writer = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    work = [run.search(seed) for seed in range(CALLERS)] + [run.follow(), run.listen(writer)]
    tasks = [asyncio.create_task(one) for one in work]
    await asyncio.sleep(2.0)
    started = time.time()
    await asyncio.sleep(BEFORE_S)
    before = [(started, time.time())]
    during: dict[str, list[tuple[float, float]]] = {"load": [], "back": []}
    for turn, kind in SWAPS:
        asked_at = time.time()
        await switch_version(database, versions[turn], ["bench"])
        await run.answering(versions[turn])
        during[kind].append((asked_at, time.time()))
        await asyncio.sleep(BETWEEN_S)
    writer.terminate()
    await writer.wait()
    await asyncio.sleep(1.0)
    run.failed += sum(task.done() and task.exception() is not None for task in tasks)
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    return describe(run, before, during)


def describe(
    run: LiveRun, before: list[tuple[float, float]], during: dict[str, list[tuple[float, float]]]
) -> list[str]:
    """The lines of the result's table."""
    p50, p99, count = run.latency(before)
    visible_s = np.array(run.visible_s)
    lines = [
        f"# Swaps and writes under load: {COUNT:,} × {DIM}\n",
        (__doc__ or "").split("\n\n")[2],
        "| measure | value |\n| --- | --- |",
        f"| searches answered · failed | {len(run.took):,} · {run.failed} |",
        f"| stale answers (a product found {STALE_S:.0f} s after its deletion, a write never seen) "
        f"| {run.stale} |",
        f"| writes | {run.writes:,} |",
        f"| write → visible: median · p99 · max, s | {np.median(visible_s):.2f} · "
        f"{np.percentile(visible_s, 99):.2f} · {visible_s.max():.2f} ({len(visible_s)} probes) |",
        f"| search before: p50 · p99, ms | {p50:.2f} · {p99:.2f} ({count:,} searches) |",
    ]
    for name, windows in (
        ("swaps to another version", during["load"]),
        ("roll-backs to the one before", during["back"]),
        ("both", during["load"] + during["back"]),
    ):
        lasted = [end - start for start, end in windows]
        swap_p50, swap_p99, swap_count = run.latency(windows)
        lines += [
            f"| {name} | {len(windows)}, {min(lasted):.2f} to {max(lasted):.2f} s each |",
            f"| … search meanwhile: p50 · p99, ms | {swap_p50:.2f} · {swap_p99:.2f} "
            f"({swap_count:,} searches) |",
            f"| … p99 ÷ before | {swap_p99 / p99:.2f} |",
        ]
    return lines


async def run_all(folder: Path, url: str, data: Path) -> list[str]:
    """Fills the catalogue, builds three index versions, and measures."""
    items = np.load(data / f"data-{COUNT}.npy", mmap_mode="r")
    queries = np.load(data / f"data-{COUNT}.npz")
    settings = Settings(data_dir=folder / "data", database_url=url)
    database = Database(url, pool_size=5)
    blobs = LocalBlobStore(folder / "blobs", "http://bench.test", ["x" * 32])
    embedder: Any = Titles(queries["texts"])
    studio = Studio(settings, database, blobs, embedder=embedder)
    await fill(database, items)
    started = time.perf_counter()
    versions = [await build_version(studio) for _ in range(3)]
    print(f"three versions built in {time.perf_counter() - started:.0f} s", flush=True)
    await switch_version(database, versions[FIRST], ["bench"])
    with ThreadPoolExecutor(1) as thread:
        live = LiveIndex(database, blobs, thread, cache_folder(settings))
        await live.sync()
        lines = await measure(LiveRun(live, queries["images"]), database, versions, url)
    await database.aclose()
    return lines


def main() -> None:
    """Runs the benchmark, or with `--write` its writing process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("/tmp/index_scale"))
    parser.add_argument("--write", help="the database to write to: for the child process")
    args = parser.parse_args()
    if args.write:
        asyncio.run(write(args.write))
    if not (args.data / f"data-{COUNT}.npy").exists():
        print("benchmarks.index.live was left out: benchmarks.index.scale makes its data")
        return
    with tempfile.TemporaryDirectory(prefix="index-live-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        server = Postgres(folder, durable=False)
        server.start()
        try:
            upgrade(server.url("postgres"))
            lines = asyncio.run(run_all(folder, server.url("postgres"), args.data))
        finally:
            server.stop()
    keep("index_live", lines)


if __name__ == "__main__":
    main()
