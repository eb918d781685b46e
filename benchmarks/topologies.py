"""Served searches in three topologies: ours, the seed's, and stock Ray Serve; one run.

    python -m benchmarks.topologies [--rounds 3] [--seconds 8]

The same FastAPI application, model, index, PostgreSQL, Valkey and pictures; only what lies between
the HTTP side and the models differs. One topology runs at a time, the others are suspended; rounds
alternate. Callers are connections of one client process on the same machine.
"""

import argparse
import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psutil

from benchmarks.report import head, keep
from benchmarks.served import Ask, measure, search_by_picture
from benchmarks.serving.topology import model_ms
from drawing.draw import COLOURS, Garment, draw_garment
from local.client import encode, sign_in, upload
from local.folder import DataFolder
from local.running import RunningStudio, free_port

SEED, STOCK = "benchmarks.serving.seed_topology", "benchmarks.serving.stock_serve"
CALLERS = (1, 16)
SHARED = ("postgres", "valkey-server")
SECRET = "a secret of the benchmark, which all three topologies share"
LIMITS = {
    "STUDIO_LIMIT_SEARCH": "10000000",
    "STUDIO_LIMIT_DEFAULT": "10000000",
    "STUDIO_JWT_SECRET": SECRET,
}
Row = tuple[float, ...]


class Topology:
    """Processes that answer at one address, and can be suspended while others are measured."""

    def __init__(self, name: str, port: int, roots: list[psutil.Process]) -> None:
        self.name = name
        self.url = f"http://127.0.0.1:{port}"
        self._roots = roots

    def family(self) -> list[psutil.Process]:
        """Its processes, without the servers that all topologies use."""
        processes = [*self._roots]
        for root in self._roots:
            processes += root.children(recursive=True)
        return [one for one in processes if not one.name().startswith(SHARED)]

    def suspend(self) -> None:
        """Suspends the processes, so that they use no CPU."""
        for process in self.family():
            process.suspend()

    def resume(self) -> None:
        """Continues the suspended processes."""
        for process in self.family():
            process.resume()

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Continues the processes while the block runs, after a first answer."""
        self.resume()
        wait_for(self.url)
        try:
            yield
        finally:
            self.suspend()


def start(stack: ExitStack, words: list[str], environment: dict[str, str]) -> psutil.Process:
    """Starts a process that ends with the stack."""
    child = subprocess.Popen(
        [sys.executable, "-m", *words], env=environment, stdin=subprocess.PIPE
    )  # fmt: skip
    stack.callback(child.wait, 60)
    stack.callback(child.terminate)
    return psutil.Process(child.pid)


def wait_for(url: str) -> None:
    """Waits until a few searches in a row are answered."""
    deadline_s = time.monotonic() + 120
    answered = 0
    while answered < 10:
        try:
            reply = httpx.post(f"{url}/api/search/text", json={"query": "red"}, timeout=30)
            answered += reply.is_success
        except httpx.HTTPError:
            time.sleep(0.2)
        assert time.monotonic() < deadline_s, url


def kinds(files: list[str], run: int) -> dict[str, Ask]:
    """The requests; `run` makes their words unique to this run."""

    async def fresh(client: httpx.AsyncClient, turn: int) -> httpx.Response:
        return await client.post("/api/search/text", json={"query": f"red dress {run} {turn}"})

    return {"image": search_by_picture(files), "text": fresh}


def compare(
    topologies: list[Topology], files: list[str], headers: dict[str, str], args: argparse.Namespace
) -> dict[tuple[str, int, str], Row]:
    """(search, callers, topology) -> medians over the rounds: requests/s, median ms, p95 ms."""
    rows_of: dict[tuple[str, int, str], list[Row]] = {}
    for turn in range(args.rounds):
        for place, topology in enumerate(topologies):
            with topology.awake():
                for kind, ask in kinds(files, 100 * turn + place).items():
                    for callers in CALLERS:
                        row = asyncio.run(
                            measure(topology.url, headers, ask, callers, args.seconds)
                        )
                        rows_of.setdefault((kind, callers, topology.name), []).append(row)
                        print(turn, topology.name, kind, callers, row, flush=True)
    return {
        key: tuple(statistics.median(column) for column in zip(*rows, strict=True))
        for key, rows in rows_of.items()
    }


def table(rows_of: dict[tuple[str, int, str], Row], bare_ms: float) -> list[str]:
    """The rows, and what of a lone image search is not the model."""
    lines = ["| search | callers | topology | requests/s | median ms | p95 ms |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    for (kind, callers, name), (rate, median, p95) in sorted(rows_of.items()):
        lines.append(f"| {kind} | {callers} | {name} | {rate:.1f} | {median:.1f} | {p95:.1f} |")
    lines += ["", f"Decoding and model alone, in one idle process: {bare_ms:.1f} ms a picture. "
              "What else a lone image search takes, the index's 0.1 ms included:", ""]  # fmt: skip
    for (kind, callers, name), (_, median, _) in sorted(rows_of.items()):
        if (kind, callers) == ("image", 1):
            lines.append(f"- {name}: {median - bare_ms:.1f} ms")
    return lines


def start_all(stack: ExitStack, studio: RunningStudio) -> list[Topology]:
    """Ours is running; the others start over its servers. All are suspended afterwards."""
    facts = DataFolder(studio.data_dir).running() or {}
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | LIMITS
    environment["STUDIO_DATA_DIR"] = str(studio.data_dir)
    for name in ("database_url", "redis_url", "blob_url"):
        environment[f"STUDIO_{name.upper()}"] = str(facts[name])
    rec, front, stock = free_port(), free_port(), free_port()
    topologies = [Topology("ours", studio.port, [psutil.Process(studio.pid)])]
    stack.callback(topologies[0].resume)
    topologies[0].suspend()
    seed = [
        start(stack, [SEED, "rec-svc", str(rec)], environment),
        start(stack, [SEED, "gateway", str(front), str(rec)], environment),
    ]
    for name, port, roots in (
        ("seed: gateway, HTTP, rec-svc", front, seed),
        ("stock Ray Serve", stock, None),
    ):
        started = roots or [start(stack, [STOCK, str(port)], environment)]
        topologies.append(Topology(name, port, started))
        stack.callback(topologies[-1].resume)
        wait_for(topologies[-1].url)
        topologies[-1].suspend()
    return topologies


def main() -> None:
    """Starts all three, measures, writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="studio-bench-"))
    folder.chmod(0o711)
    command = [sys.executable, "-m", "cli", "up"]
    studio = RunningStudio(folder / "data", command=command, port=free_port(), **LIMITS)
    try:
        studio.wait_ready(timeout_s=300)
        with ExitStack() as stack:
            with httpx.Client(base_url=f"http://127.0.0.1:{studio.port}", timeout=60) as http:
                headers = sign_in(http)
                pictures = (draw_garment(Garment("dress", one), size=640) for one in COLOURS)
                files = [upload(http, headers, encode(picture))[0] for picture in pictures]
            topologies = start_all(stack, studio)
            bare_ms = model_ms()
            lines = table(compare(topologies, files, headers, args), bare_ms)
    finally:
        studio.end()
        shutil.rmtree(folder, ignore_errors=True)
    title = (
        f"{head('python -m benchmarks.topologies')}; "
        f"medians of {args.rounds} alternating rounds of {args.seconds:g} s; "
        "640 px uploads, 648 products, words never asked before.\n"
    )
    keep("topologies", [title, *lines])


if __name__ == "__main__":
    main()
