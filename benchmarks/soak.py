"""Half an hour of mixed traffic with faults: how memory grows, and which answers were wrong.

    python -m benchmarks.soak [--minutes 30] [--callers 6]

Starts `studio up` in a fresh folder and asks for everything a shop asks for: searches, products
written and deleted, uploads, masks, try-ons, scores, jobs. One replica after the other is killed,
before and between the two windows that are compared. The report (`benchmarks/results/soak.md` and
`soak.png`) has the memory of every kind of process and all answers that were neither right nor a
503 with Retry-After nor a refused connection.
"""

import argparse
import asyncio
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import matplotlib
import psutil

from benchmarks.report import RESULTS, head, keep, load_average
from benchmarks.served import upload_pictures
from drawing.draw import Garment, draw_garment
from drawing.people.people import draw_person
from local.client import encode, sign_in, upload
from local.running import RunningStudio

matplotlib.use("Agg")

FAULTS = {
    0.15: "Embedder", 0.20: "Index", 0.25: "Gateway", 0.55: "Segmenter", 0.60: "TryOn",
    0.65: "Regressor", 0.70: "Dispatcher", 0.75: "Index",
}  # fmt: skip
"""Which replica is killed, by the share of the time that has passed."""
WINDOWS = ((1 / 3, 1 / 2), (5 / 6, 1.0))
"""The shares of the time whose medians are compared: minutes 10 to 15 and 25 to 30 of 30."""
GROWTH = 1.03
SAMPLE_S = 10.0
RECOVERY_S = 120.0
PASSING = ("ray::run_job", "ray::IDLE", "ray::_", "python", "sh", "bash")
"""Processes that live for a moment, such as a job's worker."""
Ask = Callable[[httpx.AsyncClient, int], Awaitable[httpx.Response]]


@dataclass
class Report:
    """What was seen: samples of memory by kind of process, answers, faults."""

    started_s: float
    memory: dict[str, list[tuple[float, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )  # kind -> (seconds since the start, MiB)
    answers: Counter[str] = field(default_factory=Counter)
    busy: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    faults: list[tuple[float, str, float]] = field(default_factory=list)
    last_busy_s: float = 0.0

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.started_s


def kinds_of(files: list[str], person: str, garment: str) -> dict[str, tuple[int, Ask]]:
    """The kinds of requests, each with its weight."""

    def post(path: str, body: Callable[[int], dict[str, object]]) -> Ask:
        async def ask(client: httpx.AsyncClient, turn: int) -> httpx.Response:
            return await client.post(path, json=body(turn))

        return ask

    async def write(client: httpx.AsyncClient, turn: int) -> httpx.Response:
        product = {
            "title": f"Soak {turn}", "category": "dress", "price": "19.99", "currency": "EUR",
            "inStock": True, "fileId": files[turn % len(files)],
        }  # fmt: skip
        path = f"/api/catalog/products/soak-{turn % 200}"
        response = await client.put(path, json=product)
        return response if turn % 3 or response.is_error else await client.delete(path)

    async def listing(client: httpx.AsyncClient, _: int) -> httpx.Response:
        return await client.get("/api/jobs?limit=10")

    words = ("red dress", "blue striped top", "shoes", "green trousers", "bag")
    segmentation = {"target": "garment"}
    return {
        "text search": (40, post("/api/search/text", lambda n: {"query": f"{words[n % 5]} {n}"})),
        "image search": (
            20, post("/api/search/image", lambda n: {"fileId": files[n % len(files)]}),
        ),
        "hybrid search": (8, post("/api/search/hybrid", lambda n: {
            "fileId": files[n % len(files)], "query": words[n % 5], "alpha": 0.5,
        })),
        "product": (8, write),
        "mask": (3, post("/api/cv/segmentation", lambda n: {
            "fileId": files[n % len(files)], **segmentation,
        })),
        "score": (3, post("/api/analytics/predict", lambda n: {
            "fileId": files[n % len(files)], "category": "dress", "price": "30",
        })),
        "try-on": (1, post("/api/cv/tryon", lambda n: {
            "personUrl": person, "garmentUrl": garment, "mode": "sync", "seed": n,
        })),
        "job": (1, post("/api/jobs", lambda n: {"type": "tryon", "payload": {
            "personUrl": person, "garmentUrl": garment, "seed": n,
        }})),
        "list of jobs": (4, listing),
    }  # fmt: skip


async def call(client: httpx.AsyncClient, kind: str, ask: Ask, turn: int, report: Report) -> None:
    """One request; files its answer as good, busy or wrong."""
    try:
        response = await ask(client, turn)
    except (httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError):
        report.busy["connection"] += 1
        report.last_busy_s = report.elapsed_s
        return
    except httpx.TransportError as error:
        report.wrong.append(f"{report.elapsed_s:.0f} s {kind}: {type(error).__name__}")
        return
    if response.status_code < 300:
        report.answers[kind] += 1
    elif response.status_code == 503 and "retry-after" in response.headers:
        report.busy[kind] += 1
        report.last_busy_s = report.elapsed_s
    elif not (kind == "product" and response.status_code == 404):  # another caller deleted it
        report.wrong.append(f"{report.elapsed_s:.0f} s {kind}: {response.status_code} "
                            f"{response.text[:120]}")  # fmt: skip


async def caller(
    client: httpx.AsyncClient, kinds: dict[str, tuple[int, Ask]], number: int, report: Report,
    until_s: float,
) -> None:  # fmt: skip
    """Sends one request after the other, with a pause, until the time is over."""
    chance = random.Random(number)
    names, weights = list(kinds), [weight for weight, _ in kinds.values()]
    turn = number * 1_000_000
    while report.elapsed_s < until_s:
        (name,) = chance.choices(names, weights)
        await call(client, name, kinds[name][1], turn, report)
        turn += 1
        await asyncio.sleep(chance.uniform(0.02, 0.3))


def kind_of(process: psutil.Process) -> str:
    """The deployment, or the program; "" for a process that lives for a moment."""
    words = process.cmdline()
    title = words[0] if words else ""
    if "ServeReplica:studio:" in title:
        return title.split("ServeReplica:studio:")[1].split()[0].split(":")[0].split(".")[0]
    if title.startswith("ray::"):
        return "" if title.startswith(PASSING) else title.removeprefix("ray::").split(".")[0]
    name = process.name()
    return "" if name in PASSING else name


async def sample(studio: RunningStudio, report: Report, until_s: float) -> None:
    """Sums the resident memory by kind of process, again and again.

    Each connection of PostgreSQL also has the pages of its shared buffers resident, which it has
    touched; they are left out.
    """
    while report.elapsed_s < until_s:
        sums: Counter[str] = Counter()
        for process in psutil.Process(studio.pid).children(recursive=True):
            with suppress(psutil.Error):
                if kind := kind_of(process):
                    memory = process.memory_info()
                    sums[kind] += memory.rss - (memory.shared if kind == "postgres" else 0)
        for kind, total in sums.items():
            report.memory[kind].append((report.elapsed_s, total / 2**20))
        await asyncio.sleep(SAMPLE_S)


async def interfere(studio: RunningStudio, report: Report, seconds: float) -> None:
    """Kills replicas at their times, and notes after how long no caller met a fault any more."""
    for share, deployment in FAULTS.items():
        await asyncio.sleep(max(0.0, share * seconds - report.elapsed_s))
        for process in psutil.Process(studio.pid).children(recursive=True):
            with suppress(psutil.Error):
                if kind_of(process) == deployment:
                    process.kill()
                    break
        killed_s = report.elapsed_s
        quiet_s = min(30.0, 0.04 * seconds)
        report.last_busy_s = max(report.last_busy_s, killed_s)
        while report.elapsed_s - report.last_busy_s < quiet_s:
            await asyncio.sleep(0.5)
            if report.elapsed_s - killed_s > RECOVERY_S:
                break
        report.faults.append((killed_s, deployment, report.last_busy_s - killed_s))
        print(f"{killed_s:.0f} s: {deployment} killed, well {report.faults[-1][2]:.1f} s later",
              flush=True)  # fmt: skip


async def tell(report: Report, seconds: float) -> None:
    """One line of progress a minute."""
    while report.elapsed_s < seconds:
        await asyncio.sleep(60)
        total = sum(report.answers.values())
        minutes = f"{report.elapsed_s / 60:.0f} of {seconds / 60:.0f} min"
        busy = sum(report.busy.values())
        print(f"{minutes}: {total:,} answers, {busy} busy, {len(report.wrong)} wrong", flush=True)


async def soak(studio: RunningStudio, callers: int, seconds: float) -> Report:
    """Runs traffic, faults and samples side by side."""
    url = f"http://127.0.0.1:{studio.port}"
    with httpx.Client(base_url=url, timeout=60) as http:
        headers = sign_in(http)
        files = upload_pictures(http, headers)
        person, garment = (
            upload(http, headers, encode(picture))[1].json()["readUrl"].split("?")[0]
            for picture in (
                draw_person(11, (), (512, 384), full_figure=True).image,
                draw_garment(Garment("shirt", "green", "striped", 4), 320),
            )
        )
    kinds = kinds_of(files, person, garment)
    report = Report(time.monotonic())
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=90) as client:
        await asyncio.gather(
            sample(studio, report, seconds), interfere(studio, report, seconds),
            tell(report, seconds),
            *(caller(client, kinds, number, report, seconds) for number in range(callers)),
        )  # fmt: skip
    return report


def medians(samples: list[tuple[float, float]], seconds: float) -> list[float] | None:
    """The median of each window in MiB; None if the kind was not there in both."""
    values = [
        [value for at_s, value in samples if first * seconds <= at_s <= last * seconds]
        for first, last in WINDOWS
    ]
    return [statistics.median(each) for each in values] if all(values) else None


def draw(report: Report, seconds: float, path: Path) -> None:
    """Memory by kind of process over time, with the faults as vertical lines."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(10, 6), layout="constrained")
    largest = sorted(report.memory, key=lambda kind: -report.memory[kind][-1][1])[:12]
    for kind in largest:
        points = report.memory[kind]
        axes.plot([at_s / 60 for at_s, _ in points], [value for _, value in points], label=kind)
    for at_s, deployment, _ in report.faults:
        axes.axvline(at_s / 60, color="grey", linewidth=0.6, linestyle=":")
        axes.text(
            at_s / 60, axes.get_ylim()[1], f" {deployment}", rotation=90, va="top", fontsize=7
        )
    for first, last in WINDOWS:
        axes.axvspan(first * seconds / 60, last * seconds / 60, alpha=0.08)
    axes.set(
        xlabel="minutes", ylabel="resident memory, MiB", xlim=(0, seconds / 60), ylim=(0, None)
    )
    axes.legend(fontsize=7, ncols=2)
    figure.savefig(path, dpi=110)


def tables(report: Report, seconds: float) -> list[str]:
    """The answers, the faults, and the memory of each window."""
    lines = [
        "| request | good | 503 with Retry-After |", "|---|---|---|",
        *(f"| {kind} | {number:,} | {report.busy[kind]} |"
          for kind, number in sorted(report.answers.items())),
        f"| connection refused or cut | | {report.busy['connection']} |", "",
        f"Wrong answers: {len(report.wrong)}.", *(f"- {each}" for each in report.wrong[:20]), "",
        "| killed | at | last fault that a caller met, s later |", "|---|---|---|",
        *(f"| {name} | {at_s / 60:.1f} min | {after_s:.1f} |"
          for at_s, name, after_s in report.faults), "",
        "![Resident memory](soak.png)", "",
        "| process | MiB, first window | second | ratio |", "|---|---|---|---|",
    ]  # fmt: skip
    for kind, samples in sorted(report.memory.items()):
        if pair := medians(samples, seconds):
            lines.append(
                f"| {kind} | {pair[0]:.0f} | {pair[1]:.0f} | {pair[1] / pair[0]:.3f}"
                f"{' **above**' if pair[1] > GROWTH * pair[0] else ''} |"
            )
    return lines


def main() -> None:
    """Runs the whole and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--callers", type=int, default=6)
    options = parser.parse_args()
    seconds, load = options.minutes * 60, load_average()
    folder = Path(tempfile.mkdtemp(prefix="studio-soak-"))
    folder.chmod(0o711)  # PostgreSQL runs as another user where this one is root
    names = ("AUTH", "SEARCH", "CV", "DEFAULT")
    limits: dict[str, Any] = {f"STUDIO_LIMIT_{name}": "10000000" for name in names}
    # All callers are one account, which gets an eighth of the places for what takes seconds.
    limits["STUDIO_CONCURRENT_CV"] = str(8 * options.callers)
    studio = RunningStudio(
        folder / "data",
        command=[sys.executable, "-m", "cli", "up"],
        STUDIO_ACCESS_TOKEN_MINUTES="60",
        **limits,
    )
    try:
        studio.wait_ready(timeout_s=300)
        report = asyncio.run(soak(studio, options.callers, seconds))
    finally:
        studio.end()
        shutil.rmtree(folder, ignore_errors=True)
    command = f"python -m benchmarks.soak --minutes {options.minutes:g} --callers {options.callers}"
    keep("soak", [f"{head(command)}, load before {load:.1f}", "", *tables(report, seconds)])
    draw(report, seconds, RESULTS / "soak.png")


if __name__ == "__main__":
    main()
