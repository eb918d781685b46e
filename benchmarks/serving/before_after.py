"""Two checkouts of the studio side by side: CPU a request, rates, seconds to ready, memory.

    python -m benchmarks.serving.before_after ../before [--rounds 7] [--starts 3]

Both studios run at once in fresh folders with the demo catalogue, and take their load in turns, so
that what else the machine does meets both. CPU is that of all processes of a studio. A checkout
with a `.venv` of its own is started by that one.
"""

import argparse
import asyncio
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from benchmarks.report import head, keep, load_average
from benchmarks.served import kinds_of, measure, upload_pictures
from local.client import sign_in
from local.running import RunningStudio
from settings import PROJECT_ROOT

NAMES = ("before", "after")


@dataclass(frozen=True)
class Load:
    """One turn of one studio: requests a second, and CPU milliseconds a request."""

    rate: float
    cpu_ms: float


@contextmanager
def running(tree: Path) -> Iterator[tuple[RunningStudio, float]]:
    """A studio of a checkout, and how many seconds it took to get ready."""
    folder = Path(tempfile.mkdtemp(prefix="studio-bench-"))
    folder.chmod(0o711)
    python = tree / ".venv" / "bin" / "python"
    interpreter = str(python if python.exists() else sys.executable)
    started_s = time.monotonic()
    studio = RunningStudio(
        folder / "data",
        command=["env", "-C", str(tree), f"PYTHONPATH={tree}", interpreter, "-m", "cli", "up"],
        STUDIO_LIMIT_SEARCH="10000000",
        STUDIO_LIMIT_DEFAULT="10000000",
    )
    try:
        studio.wait_ready(timeout_s=300)
        yield studio, time.monotonic() - started_s
    finally:
        studio.end()
        shutil.rmtree(folder, ignore_errors=True)


def family(studio: RunningStudio) -> list[psutil.Process]:
    """All processes of a studio."""
    return psutil.Process(studio.pid).children(recursive=True)


def cpu_s(studio: RunningStudio) -> float:
    """CPU seconds that its living processes have used."""
    times = [process.cpu_times() for process in family(studio)]
    return float(sum(each.user + each.system for each in times))


def memory_gib(studio: RunningStudio) -> float:
    """Summed PSS of its processes."""
    return float(sum(process.memory_full_info().pss for process in family(studio)) / 2**30)


def alternate(
    studios: dict[str, RunningStudio], rounds: int, seconds: float
) -> dict[tuple[str, int], dict[str, list[Load]]]:
    """By kind of request and number of callers: each studio's turns; the first round warms up."""
    loads: dict[tuple[str, int], dict[str, list[Load]]] = {}
    requests = {}
    for name, studio in studios.items():
        url = f"http://127.0.0.1:{studio.port}"
        with httpx.Client(base_url=url, timeout=60) as http:
            headers = sign_in(http)
            requests[name] = url, headers, kinds_of(upload_pictures(http, headers))
    for turn in range(rounds + 1):
        for kind in requests[NAMES[0]][2]:
            for callers in (1, 16):
                for name in NAMES if turn % 2 else NAMES[::-1]:
                    url, headers, kinds = requests[name]
                    before_s = cpu_s(studios[name])
                    rate, *_ = asyncio.run(measure(url, headers, kinds[kind], callers, seconds))
                    load = Load(rate, (cpu_s(studios[name]) - before_s) / (rate * seconds) * 1000)
                    if turn:
                        turns = loads.setdefault((kind, callers), {name: [] for name in NAMES})
                        turns[name].append(load)
        print(f"round {turn} of {rounds}", flush=True)
    return loads


def rows(loads: dict[tuple[str, int], dict[str, list[Load]]]) -> list[str]:
    """Medians of the rounds, and their ratios."""

    def median(turns: list[Load], figure: Callable[[Load], float]) -> float:
        return statistics.median(map(figure, turns))

    lines = [
        "| request | callers | CPU ms a request: before, after | ratio (bar ≤ 1.03) "
        "| requests/s: before, after | ratio (bar ≥ 0.93) |",
        "|---|---|---|---|---|---|",
    ]
    for (kind, callers), turns in loads.items():
        cpu = [median(turns[name], lambda load: load.cpu_ms) for name in NAMES]
        rate = [median(turns[name], lambda load: load.rate) for name in NAMES]
        lines.append(
            f"| {kind} | {callers} | {cpu[0]:.2f}, {cpu[1]:.2f} | {cpu[1] / cpu[0]:.3f} "
            f"| {rate[0]:.0f}, {rate[1]:.0f} | {rate[1] / rate[0]:.3f} |"
        )
    return lines


def main() -> None:
    """Measures, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--starts", type=int, default=3, help="of each studio alone")
    args = parser.parse_args()
    trees = {"before": args.before.resolve(), "after": PROJECT_ROOT}
    load_before = load_average()
    ready_s: dict[str, list[float]] = {name: [] for name in NAMES}
    for _ in range(args.starts):
        for name, tree in trees.items():
            with running(tree) as (_studio, seconds):
                ready_s[name].append(seconds)
    with ExitStack() as stack:
        studios = {}
        for name, tree in trees.items():
            studios[name], seconds = stack.enter_context(running(tree))
        loads = alternate(studios, args.rounds, args.seconds)
        memory = [memory_gib(studios[name]) for name in NAMES]
    ready = [statistics.median(ready_s[name] or [float("nan")]) for name in NAMES]
    keep("before_after", [
        f"{head(f'python -m benchmarks.serving.before_after {args.before.name}')}; medians of "
        f"{args.rounds} alternating rounds of {args.seconds:g} s; load average before "
        f"{load_before:.1f}.\n",
        f"Ready in a fresh folder: {ready[0]:.1f} s before, {ready[1]:.1f} s after (medians of "
        f"{args.starts} starts). Summed PSS after the load: {memory[0]:.2f} GiB before, "
        f"{memory[1]:.2f} GiB after.\n",
        *rows(loads),
    ])  # fmt: skip


if __name__ == "__main__":
    main()
