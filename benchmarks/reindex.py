"""Re-index of drawn products on a running studio, both ways, beside a bare loop over the model.

    python -m benchmarks.reindex [PICTURES [PRODUCTS]]

One studio, and one caller who searches all the time, also while the bare loop runs. Each way: rate
after the first batch beside the runs of the bare loop before and after it, CPU time, memory at a
quarter and at all of the products, and a worker that is killed at half. PICTURES is a folder that
keeps what is drawn. (`bare FOLDER` and `deploy CONFIG` are its own processes.)
"""

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import psutil
from numpy.typing import NDArray

from benchmarks.reindex_studio import DEMO, Bench, config_of, draw_all
from db.tables import JobEvent
from models.embedder import Embedder, EmbedderConfig, load
from settings import PROJECT_ROOT, load_settings
from tests.embedded.running import RunningStudio, free_port
from training.catalogue import demo_products

PRODUCTS, ROUNDS = 5000, 1
WAYS = {"warm Embedder": 10**9, "Ray Data": 1}
"""`from_pictures`, which decides."""
BARE, BATCH = 640, 64
SEARCH_EVERY_S = 0.2
RESULTS = Path(__file__).parent / "results" / "reindex.md"
Batch = list[NDArray[np.float32]]


@dataclass
class Searcher:
    """A caller's answers: how long each took, and what was not 200."""

    times_ms: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    async def run(self, url: str) -> None:
        """Until cancelled; words that nobody asked before, so that each needs the model."""
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
class Run:
    """One full re-index."""

    start_s: float = 0.0
    total_s: float = 0.0
    rate: float = 0.0
    cpu_ms: float = 0.0
    peak_mb: float = 0.0
    p95_ms: float = 0.0
    again: int = 0
    searches: int = 0
    failed: int = 0


def anonymous_mb(processes: list[psutil.Process]) -> float:
    """What they have for themselves alone, cheaply: resident minus shared."""
    total = 0
    for process in processes:
        with suppress(psutil.Error):
            memory = process.memory_info()
            total += memory.rss - memory.shared
    return total / 2**20


def cpu_s(processes: list[psutil.Process]) -> dict[int, float]:
    """Seconds by process."""
    found = {}
    for process in processes:
        with suppress(psutil.Error):
            times = process.cpu_times()
            found[process.pid] = times.user + times.system
    return found


@asynccontextmanager
async def watching_memory(bench: Bench) -> AsyncIterator[list[float]]:
    """Samples of anonymous memory while the block runs, beyond what it was before."""
    before = anonymous_mb(bench.processes())
    samples = [0.0]

    async def watch() -> None:
        while True:
            samples.append(anonymous_mb(bench.processes()) - before)
            await asyncio.sleep(1.0)

    task = asyncio.create_task(watch())
    try:
        yield samples
    finally:
        task.cancel()


async def reindex(bench: Bench, searcher: Searcher, *, kill: bool = False) -> Run:
    """A full run, watched; with `kill` its worker dies at half."""
    run, searched, embedded = Run(), len(searcher.times_ms), bench.embedded()
    failed = len(searcher.failed)
    marks: list[tuple[JobEvent, dict[int, float]]] = []
    async with watching_memory(bench) as samples:
        job_id = await bench.submit()
        async for event in bench.follow(job_id):
            if "pictures embedded" not in event.progress["message"]:
                continue
            marks.append((event, cpu_s(bench.processes())))
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


class Bare:
    """The loop in a process of its own, loaded once, run when asked."""

    def __init__(self, pictures: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.reindex", "bare", str(pictures)],
            cwd=PROJECT_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    async def run(self) -> dict[str, float]:
        """Images/s with decoding in a thread beside the model, and one after the other; CPU ms."""
        return await asyncio.to_thread(self._ask)

    def _ask(self) -> dict[str, float]:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        found: dict[str, float] = json.loads(self._process.stdout.readline())
        return found

    def end(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()


def bare(folder: Path) -> None:
    """One line of JSON for each line read."""
    model = load(EmbedderConfig(max_batch=16, threads=1))
    model.warm_up()
    files = sorted(folder.glob("*.jpg"))[:BARE]
    batches = [files[start : start + BATCH] for start in range(0, len(files), BATCH)]
    for _ in sys.stdin:
        cpu_from_s = time.process_time()
        side_by_side, serial = loop_ahead(model, batches), loop(model, batches)
        cpu_ms = 1000 * (time.process_time() - cpu_from_s) / (2 * len(files))
        print(json.dumps({"ahead": side_by_side, "serial": serial, "cpu": cpu_ms}), flush=True)


def read(model: Embedder, batch: list[Path]) -> Batch:
    """Files -> what the network looks at."""
    return [model.reader.read(path.read_bytes()) for path in batch]


def loop(model: Embedder, batches: list[list[Path]]) -> float:
    """Images/s after the first batch."""
    model.embed_images(read(model, batches[0]))
    began_s = time.perf_counter()
    for batch in batches[1:]:
        model.embed_images(read(model, batch))
    return BATCH * (len(batches) - 1) / (time.perf_counter() - began_s)


def loop_ahead(model: Embedder, batches: list[list[Path]]) -> float:
    """The same, the next batch decoded in one thread while the model has this one."""
    with ThreadPoolExecutor(1) as decoder:
        coming = decoder.submit(read, model, batches[1])
        model.embed_images(read(model, batches[0]))
        began_s = time.perf_counter()
        for batch in [*batches[2:], None]:
            pixels = coming.result()
            if batch is not None:
                coming = decoder.submit(read, model, batch)
            model.embed_images(pixels)
        return BATCH * (len(batches) - 1) / (time.perf_counter() - began_s)


@dataclass
class Figures:
    """All that was measured of one way."""

    quarter: Run
    whole: list[Run]
    killed: Run
    bare: list[dict[str, float]]

    def rate(self) -> float:
        return statistics.median(run.rate for run in self.whole)

    def of_bare(self, kind: str) -> float:
        return statistics.median(one[kind] for one in self.bare)


async def measure(bench: Bench, loop_process: Bare, searcher: Searcher) -> dict[str, Figures]:
    """Both ways at a quarter, then at all products, the bare loop in between."""
    await bench.insert(DEMO, bench.products // 4)
    quarter, found = {}, {}
    for way, from_pictures in WAYS.items():
        bench.deploy(config_of(from_pictures))
        quarter[way] = await reindex(bench, searcher)
        print(way, "a quarter", quarter[way], flush=True)
    await bench.insert(bench.products // 4, bench.products)
    for way in reversed(WAYS):  # the last one is still deployed
        if way != list(WAYS)[-1]:
            bench.deploy(config_of(WAYS[way]))
        bare_runs, runs = [await loop_process.run()], []
        for _ in range(ROUNDS):
            runs.append(await reindex(bench, searcher))
            bare_runs.append(await loop_process.run())
            print(way, runs[-1], bare_runs[-2:], flush=True)
        killed = await reindex(bench, searcher, kill=True)
        print(way, "killed", killed, flush=True)
        found[way] = Figures(quarter[way], runs, killed, bare_runs)
    return found


def table(found: dict[str, Figures], idle_ms: float) -> list[str]:
    """One column a way."""
    ways = list(WAYS)
    rows: dict[str, list[str]] = {
        "images/s after the first batch": [f"{found[way].rate():.0f}" for way in ways],
        "bare loop around it, decoding in a thread beside the model": [
            f"{found[way].of_bare('ahead'):.0f}" for way in ways
        ],
        "bare loop around it, one after the other": [
            f"{found[way].of_bare('serial'):.0f}" for way in ways
        ],
        "ratio to the first, to the second (bar: 0.85)": [
            f"{found[way].rate() / found[way].of_bare('ahead'):.2f}, "
            f"{found[way].rate() / found[way].of_bare('serial'):.2f}"
            for way in ways
        ],
        "CPU ms a picture, everything running; bare loop": [
            f"{statistics.median(run.cpu_ms for run in found[way].whole):.1f}; "
            f"{found[way].of_bare('cpu'):.1f}"
            for way in ways
        ],
        "s until the first batch; in all": [
            f"{found[way].whole[-1].start_s:.1f}; {found[way].whole[-1].total_s:.1f}"
            for way in ways
        ],
        "memory beyond before, MB, peak: a quarter of the products; all": [
            f"{found[way].quarter.peak_mb:.0f}; {max(run.peak_mb for run in found[way].whole):.0f}"
            for way in ways
        ],
        f"killed at half: pictures embedded again (a batch has {BATCH})": [
            str(found[way].killed.again) for way in ways
        ],
        f"p95 of a search meanwhile, ms (before: {idle_ms:.0f})": [
            f"{statistics.median(run.p95_ms for run in found[way].whole):.0f}" for way in ways
        ],
    }
    runs = [run for one in found.values() for run in (one.quarter, *one.whole, one.killed)]
    lines = [f"| | {' | '.join(ways)} |", "|---|" + "---|" * len(ways)]
    lines += [f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()]
    return [
        *lines,
        "",
        f"Searches during all of these runs: {sum(run.searches for run in runs)}, of which "
        f"{sum(run.failed for run in runs)} failed.",
    ]


async def compare(studio: RunningStudio, pictures: Path, products: int) -> list[str]:
    """Everything, on a studio that is ready."""
    bench, loop_process = Bench(studio, pictures, products), Bare(pictures)
    searcher = Searcher()
    searching = asyncio.create_task(searcher.run(f"http://127.0.0.1:{studio.port}"))
    try:
        await asyncio.sleep(10)
        idle_ms = searcher.p95()
        return table(await measure(bench, loop_process, searcher), idle_ms)
    finally:
        searching.cancel()
        loop_process.end()
        await bench.aclose()


def main(pictures: Path, products: int) -> None:
    """Starts the studio, measures, writes the table."""
    draw_all(demo_products(products), pictures)
    folder = Path(tempfile.mkdtemp(prefix="studio-bench-"))
    folder.chmod(0o711)
    load = os.getloadavg()[0]
    studio = RunningStudio(
        folder / "data", command=[sys.executable, "-m", "cli", "up"], port=free_port(),
        STUDIO_DEMO_PRODUCTS=str(DEMO), STUDIO_LIMIT_SEARCH="10000000",
    )  # fmt: skip
    try:
        studio.wait_ready(timeout_s=300)
        lines = asyncio.run(compare(studio, pictures, products))
    finally:
        studio.end()
        shutil.rmtree(folder, ignore_errors=True)
    RESULTS.write_text(
        f"`python -m benchmarks.reindex`, {time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, "
        f"{products:,} drawn products, medians of {ROUNDS} alternating rounds; load average when "
        f"it began {load:.1f}, when it ended {os.getloadavg()[0]:.1f}.\n\n"
        + "\n".join(lines) + "\n"
    )  # fmt: skip
    print(RESULTS.read_text())


def deploy(config: Path) -> None:
    """Changes the studio whose addresses are in the environment."""
    from deployments.ingress import ingress_environment
    from embedded.cluster import ENVIRONMENT

    settings = load_settings()
    os.environ |= ENVIRONMENT | ingress_environment(settings.port)
    from deployments.launch import connect, start

    connect(os.environ["RAY_ADDRESS"])
    start(settings, config=config)
    time.sleep(3)  # until Serve has noticed: it was running before, too
    start(settings, config=config)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["bare", folder]:
            bare(Path(folder))
        case ["deploy", config]:
            deploy(Path(config))
        case [folder, products]:
            main(Path(folder), int(products))
        case words:
            main(Path(words[0] if words else tempfile.mkdtemp()), PRODUCTS)
