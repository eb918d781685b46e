"""Re-index of drawn products on a running studio beside a bare loop over the model.

    python -m benchmarks.index.reindex [warm|ray [PICTURES [PRODUCTS]]]

Each way has a studio of its own, and one caller who searches all the time, also while the bare
loop runs. Two full runs over a quarter of the products, then rounds over all, the bare loop
before and after each, then one whose worker is killed at half. PICTURES is a folder that keeps
what is drawn.
"""

import asyncio
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from benchmarks.index.reindex_bare import BATCH, Bare
from benchmarks.index.reindex_studio import DEMO, Bench, draw_all, start_studio
from benchmarks.report import RESULTS, head, keep, load_average
from db.tables import JobEvent
from drawing.demo_shop import demo_products
from local.running import RunningStudio

PRODUCTS = 5000
WAYS = {"warm": ("By the warm Embedder", 10**9, 3), "ray": ("By Ray Data", 1, 2)}
"""The title of each way, the `from_pictures` that selects it, and the number of rounds."""
SEARCH_EVERY_S = 0.2


@dataclass
class Searcher:
    """The latencies of a caller's searches, and the answers other than 200."""

    times_ms: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    async def run(self, url: str) -> None:
        """Searches until it is cancelled; every text is new, so that each needs the model."""
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            while True:
                began_s = time.perf_counter()
                body = {"query": f"red dress {time.monotonic_ns()}"}
                try:
                    answer = await client.post("/api/search/text", json=body)
                    if answer.status_code != 200:
                        self.failed.append(answer.text)
                except httpx.HTTPError as error:
                    self.failed.append(repr(error))
                self.times_ms.append(1000 * (time.perf_counter() - began_s))
                await asyncio.sleep(SEARCH_EVERY_S)

    def p95(self, since: int = 0) -> float:
        """In ms, of the answers from one on."""
        return statistics.quantiles(self.times_ms[since:], n=20)[18]


@dataclass
class ReindexRun:
    """One full re-index."""

    start_s: float = 0.0
    total_s: float = 0.0
    rate: float = 0.0
    cpu_ms: float = 0.0
    embedding_mb: float = 0.0
    peak_mb: float = 0.0
    p95_ms: float = 0.0
    again: int = 0
    searches: int = 0
    failed: int = 0


def anonymous_mb(processes: list[psutil.Process]) -> float:
    """Approximate private memory of the processes: resident minus shared."""
    total = 0
    for process in processes:
        with suppress(psutil.Error):
            memory = process.memory_info()
            total += memory.rss - memory.shared
    return total / 2**20


def cpu_s(processes: list[psutil.Process]) -> dict[int, float]:
    """Seconds by process."""
    cpu_s = {}
    for process in processes:
        with suppress(psutil.Error):
            times = process.cpu_times()
            cpu_s[process.pid] = times.user + times.system
    return cpu_s


@asynccontextmanager
async def watching_memory(bench: Bench, idle_mb: float) -> AsyncIterator[list[float]]:
    """Samples of anonymous memory while the block runs, beyond that of the idle studio."""
    samples = [0.0]

    async def watch() -> None:
        while True:
            samples.append(anonymous_mb(bench.processes()) - idle_mb)
            await asyncio.sleep(1.0)

    task = asyncio.create_task(watch())
    try:
        yield samples
    finally:
        task.cancel()


async def reindex(
    bench: Bench, searcher: Searcher, idle_mb: float, *, kill: bool = False
) -> ReindexRun:
    """A full run, watched; with `kill` its worker dies at half."""
    run, searched, embedded = ReindexRun(), len(searcher.times_ms), bench.embedded()
    failed = len(searcher.failed)
    marks: list[tuple[JobEvent, dict[int, float]]] = []
    async with watching_memory(bench, idle_mb) as samples:
        job_id = await bench.submit()
        async for event in bench.follow(job_id):
            if "pictures embedded" not in event.progress["message"]:
                continue
            marks.append((event, cpu_s(bench.processes())))
            run.embedding_mb = max(samples)
            if kill and 2 * event.progress["done"] >= event.progress["total"]:
                await bench.kill_worker(job_id)
                kill = False
    job = await bench.row(job_id)
    assert job.state == "succeeded" and job.started_at and job.finished_at, job
    (first, cpu_first), (last, cpu_last) = marks[0], marks[-1]
    pictures = last.progress["done"] - first.progress["done"]
    run.start_s = (first.at - job.started_at).total_seconds()
    run.total_s = (job.finished_at - job.started_at).total_seconds()
    run.rate = pictures / (last.at - first.at).total_seconds()
    spent_s = sum(used - cpu_first.get(pid, 0.0) for pid, used in cpu_last.items())
    run.cpu_ms = 1000 * spent_s / max(pictures, 1)
    run.peak_mb = max(samples)
    run.p95_ms = searcher.p95(searched)
    run.searches = len(searcher.times_ms) - searched
    run.failed = len(searcher.failed) - failed
    run.again = bench.embedded() - embedded - await bench.count()
    return run


@dataclass
class Figures:
    """The measurements of one way; each run lies between two runs of the bare loop."""

    quarter: list[ReindexRun]
    whole: list[ReindexRun]
    bare: list[dict[str, float]]
    killed: ReindexRun

    def of_bare(self, kind: str) -> float:
        """Median of the loop's figure of this name."""
        return statistics.median(one[kind] for one in self.bare)

    def ratio(self, kind: str) -> float:
        """Median share of the loop's rate around each run."""
        around = zip(self.whole, self.bare, self.bare[1:], strict=False)
        return statistics.median(
            run.rate / statistics.mean((before[kind], after[kind])) for run, before, after in around
        )

    def runs(self) -> list[ReindexRun]:
        """All measurements of the way."""
        return [*self.quarter, *self.whole, self.killed]


async def measure(
    bench: Bench, loop_process: Bare, searcher: Searcher, products: int, rounds: int
) -> Figures:
    """At a quarter, then at all products, the bare loop in between, then killed at half."""
    await bench.insert(DEMO, products // 4)
    idle_mb = anonymous_mb(bench.processes())
    quarter = [await reindex(bench, searcher, idle_mb) for _ in range(2)]
    print("a quarter", quarter, flush=True)
    await bench.insert(products // 4, products)
    bare_runs, runs = [await loop_process.run()], []
    for _ in range(rounds):
        runs.append(await reindex(bench, searcher, idle_mb))
        bare_runs.append(await loop_process.run())
        print(runs[-1], bare_runs[-2:], flush=True)
    killed = await reindex(bench, searcher, idle_mb, kill=True)
    print("killed", killed, flush=True)
    return Figures(quarter, runs, bare_runs, killed)


def table(figures: Figures, idle_ms: float) -> list[str]:
    """The rows of the table: a name and a figure."""
    whole = figures.whole
    rows = {
        "images/s after the first batch": f"{statistics.median(run.rate for run in whole):.0f}",
        "bare loop, decoding in a thread beside the model": f"{figures.of_bare('ahead'):.0f}",
        "bare loop, one after the other": f"{figures.of_bare('serial'):.0f}",
        "ratio to the first, to the second (bar: 0.85)": (
            f"{figures.ratio('ahead'):.2f}, {figures.ratio('serial'):.2f}"
        ),
        "CPU ms a picture, everything running; bare loop": (
            f"{statistics.median(run.cpu_ms for run in whole):.1f}; {figures.of_bare('cpu'):.1f}"
        ),
        "s until the first batch; in all, index built and active": (
            f"{whole[-1].start_s:.1f}; {whole[-1].total_s:.1f}"
        ),
        "most memory beyond the idle studio's while embedding, MB, run by run: a quarter; all": (
            "; ".join(
                ", ".join(f"{run.embedding_mb:.0f}" for run in runs)
                for runs in (figures.quarter, whole)
            )
        ),
        "the same with building and loading the index": (
            "; ".join(
                ", ".join(f"{run.peak_mb:.0f}" for run in runs) for runs in (figures.quarter, whole)
            )
        ),
        f"killed at half: pictures embedded again (a batch has {BATCH})": f"{figures.killed.again}",
        "p95 of a search, ms: before; meanwhile": (
            f"{idle_ms:.0f}; {statistics.median(run.p95_ms for run in whole):.0f}"
        ),
        "searches during these runs; failed": (
            f"{sum(run.searches for run in figures.runs())}; "
            f"{sum(run.failed for run in figures.runs())}"
        ),
    }
    return ["| | |", "|---|---|", *(f"| {name} | {cell} |" for name, cell in rows.items())]


async def compare(studio: RunningStudio, pictures: Path, products: int, rounds: int) -> list[str]:
    """Measures one way on a studio that is ready."""
    bench, loop_process = Bench(studio, pictures), Bare(pictures)
    searcher = Searcher()
    searching = asyncio.create_task(searcher.run(f"http://127.0.0.1:{studio.port}"))
    try:
        await asyncio.sleep(10)
        idle_ms = searcher.p95()
        return table(await measure(bench, loop_process, searcher, products, rounds), idle_ms)
    finally:
        searching.cancel()
        loop_process.end()
        await bench.aclose()


def run_way(way: str, pictures: Path, products: int) -> None:
    """Starts the studio, measures, writes the way's part of the results."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the studio is ended all the same
    draw_all(demo_products(products), pictures)
    title, from_pictures, rounds = WAYS[way]
    folder = Path(tempfile.mkdtemp(prefix="studio-bench-"))
    folder.chmod(0o711)
    load_before = load_average()
    studio = start_studio(folder, from_pictures)
    try:
        studio.wait_ready(timeout_s=300)
        lines = asyncio.run(compare(studio, pictures, products, rounds))
    finally:
        studio.end()
        shutil.rmtree(folder, ignore_errors=True)
    command = (
        f"{head(f'python -m benchmarks.index.reindex {way}')}, "
        f"{products:,} drawn products, medians of {rounds} rounds; "
        f"load average when it began {load_before:.1f}, when it ended {load_average():.1f}."
    )
    keep_part(title, [command, "", *lines])


def keep_part(title: str, lines: list[str]) -> None:
    """Replaces one part of the results; the other stays."""
    table = RESULTS / "reindex.md"
    text = table.read_text() if table.exists() else ""
    parts = dict(part.split("\n", 1) for part in text.split("## ")[1:])
    parts[title] = "\n" + "\n".join(lines) + "\n"
    keep("reindex", (f"## {name}\n{part.rstrip()}\n" for name, part in parts.items()))


def main() -> None:
    """Reads the command line."""
    words = sys.argv[1:]
    pictures = Path(words[1] if words[1:] else tempfile.mkdtemp())
    for way in words[:1] or WAYS:
        run_way(way, pictures, int(words[2]) if words[2:] else PRODUCTS)


if __name__ == "__main__":
    main()
