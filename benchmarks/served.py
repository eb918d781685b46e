"""The whole studio on this machine: seconds to ready, memory, and served searches.

    python -m benchmarks.served

Starts `studio up` with the full demo catalogue in a fresh folder. Callers are connections of one
client process on the same machine, so the client's own cost is in the figures.
"""

import asyncio
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import psutil

from benchmarks.report import head, keep
from drawing.draw import COLOURS, Garment, draw_garment
from local.client import encode, sign_in, upload
from local.running import RunningStudio

SECONDS = 8.0
Ask = Callable[[httpx.AsyncClient, int], Awaitable[httpx.Response]]


async def measure(
    url: str, headers: dict[str, str], ask: Ask, callers: int, seconds: float = SECONDS
) -> tuple[float, ...]:
    """Requests per second, median and 95th percentile in ms."""
    times: list[float] = []
    end_s = time.perf_counter() + seconds

    async def caller(client: httpx.AsyncClient, number: int) -> None:
        turn = number
        while time.perf_counter() < end_s:
            started_s = time.perf_counter()
            answer = await ask(client, turn)
            answer.raise_for_status()
            times.append((time.perf_counter() - started_s) * 1000)
            turn += callers

    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
        await asyncio.gather(*(caller(client, number) for number in range(callers)))
    cuts = statistics.quantiles(times, n=20)
    return len(times) / seconds, statistics.median(times), cuts[18]


def main() -> None:
    """Runs the whole and writes the table."""
    folder = Path(tempfile.mkdtemp(prefix="studio-bench-"))
    folder.chmod(0o711)
    started_s = time.monotonic()
    studio = RunningStudio(
        folder / "data",
        command=[sys.executable, "-m", "cli", "up"],
        STUDIO_LIMIT_SEARCH="10000000",
        STUDIO_LIMIT_DEFAULT="10000000",
    )
    try:
        studio.wait_ready(timeout_s=300)
        ready_s = time.monotonic() - started_s
        lines = table(f"http://127.0.0.1:{studio.port}")
        family = psutil.Process(studio.pid).children(recursive=True)
        pss = sum(process.memory_full_info().pss for process in family)
    finally:
        studio.end()
        shutil.rmtree(folder, ignore_errors=True)
    title = (
        f"{head('python -m benchmarks.served')}\n\n"
        f"Ready in a fresh folder, 648 demo products drawn and embedded: {ready_s:.0f} s. "
        f"Summed PSS of all processes after the load below: {pss / 2**30:.2f} GiB.\n"
    )
    keep("served", [title, *lines])


def upload_pictures(http: httpx.Client, headers: dict[str, str]) -> list[str]:
    """Ids of uploaded pictures of 640 px, one a colour."""
    pictures = (encode(draw_garment(Garment("dress", colour), size=640)) for colour in COLOURS)
    return [upload(http, headers, picture)[0] for picture in pictures]


def search_by_picture(files: list[str]) -> Ask:
    """A search by one of these uploads, each in turn."""

    async def ask(client: httpx.AsyncClient, turn: int) -> httpx.Response:
        body = {"fileId": files[turn % len(files)]}
        return await client.post("/api/search/image", json=body)

    return ask


def kinds_of(files: list[str]) -> dict[str, Ask]:
    """The kinds of requests, by the name of their row."""

    async def live(client: httpx.AsyncClient, _: int) -> httpx.Response:
        return await client.get("/api/health/live")

    async def repeated(client: httpx.AsyncClient, _: int) -> httpx.Response:
        return await client.post("/api/search/text", json={"query": "red striped dress"})

    async def fresh(client: httpx.AsyncClient, turn: int) -> httpx.Response:
        return await client.post("/api/search/text", json={"query": f"red dress {turn}"})

    return {
        "GET /api/health/live": live,
        "text search, asked before": repeated,
        "text search, never asked before": fresh,
        "image search, 640 px upload": search_by_picture(files),
    }


def table(url: str) -> list[str]:
    """One row a kind of request and number of callers."""
    with httpx.Client(base_url=url, timeout=60) as http:
        headers = sign_in(http)
        kinds = kinds_of(upload_pictures(http, headers))
    lines = ["| request | callers | requests/s | median ms | p95 ms |", "|---|---|---|---|---|"]
    for name, ask in kinds.items():
        for callers in (1, 16):
            rate, median, p95 = asyncio.run(measure(url, headers, ask, callers))
            lines.append(f"| {name} | {callers} | {rate:.0f} | {median:.1f} | {p95:.1f} |")
            print(lines[-1], flush=True)
    return lines


if __name__ == "__main__":
    main()
