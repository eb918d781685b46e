"""Many slow connections to a studio: slow heads, slow bodies, slow readers, and idle ones."""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
import psutil

from settings import PROJECT_ROOT

KINDS = ("slow head", "slow body", "slow reader", "idle")


@dataclass
class SlowLoad:
    """The connections that were opened, and the answers that other callers got meanwhile."""

    kinds: Counter[str] = field(default_factory=Counter)
    health_s: list[float] = field(default_factory=list)
    health: Counter[int] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    open_at_most: int = 0


async def hold(url: str, connections: int, duration_s: float) -> SlowLoad:
    """Opens the slow connections in another process, so that callers wait for the studio only.

    Meanwhile a caller with a connection of its own requests health and a search.
    """
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.holding", url, str(connections),
        cwd=PROJECT_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    await child.stdout.readline()  # it begins
    load = SlowLoad()
    await ask(url, duration_s, load)
    output, _ = await child.communicate(b"")  # the end of its input is its end
    report = json.loads(output)
    load.kinds, load.open_at_most = Counter(report["kinds"]), report["open_at_most"]
    return load


async def keep(url: str, connections: int) -> SlowLoad:
    """The child process: keeps the connections open until its input ends."""
    load, ended = SlowLoad(), asyncio.Event()
    opened = 0

    async def one(kind: str) -> None:
        nonlocal opened
        while not ended.is_set():  # a closed connection is opened again
            try:
                place = urlsplit(url)
                reader, writer = await asyncio.open_connection(place.hostname, place.port)
            except OSError:
                await asyncio.sleep(0.2)
                continue
            opened += 1
            load.open_at_most = max(load.open_at_most, opened)
            load.kinds[kind] += 1
            try:
                await misbehave(kind, reader, writer, ended)
            except (OSError, asyncio.IncompleteReadError):
                pass
            finally:
                opened -= 1
                writer.transport.abort()

    tasks = [asyncio.create_task(one(KINDS[place % len(KINDS)])) for place in range(connections)]
    await asyncio.to_thread(sys.stdin.read)
    ended.set()
    _, stuck = await asyncio.wait(tasks, timeout=5)  # in a read or write that does not return
    for task in stuck:
        task.cancel()
    return load


async def ask(url: str, duration_s: float, load: SlowLoad) -> None:
    """Requests health on a new connection each time, as a load balancer does, and a search."""
    until_s = time.monotonic() + duration_s
    while time.monotonic() < until_s:
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            began_s = time.monotonic()
            health = await client.get("/api/health")
            load.health_s.append(time.monotonic() - began_s)
            answer = await client.post("/api/search/text", json={"query": "red dress", "topK": 3})
        load.health.update([health.status_code])
        load.statuses.update([answer.status_code])
        await asyncio.sleep(0.2)


async def misbehave(
    kind: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ended: asyncio.Event
) -> None:
    """Sends or reads slowly until the server closes the connection or the test ends."""
    if kind == "slow head":
        writer.write(b"GET /api/health HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    elif kind == "slow body":
        writer.write(
            b"POST /api/search/text HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 900\r\n\r\n"
        )
    elif kind == "slow reader":
        for _ in range(20):  # pipelined: far more than the sockets' buffers hold
            writer.write(b"GET /api/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
    while not ended.is_set():
        if kind in {"slow head", "slow body"}:
            writer.write(b"x")
            await writer.drain()
        elif kind == "slow reader" and not await reader.readexactly(1):
            return
        if writer.transport.is_closing() or reader.at_eof():
            return
        try:
            await asyncio.wait_for(ended.wait(), 0.5)
        except TimeoutError:
            continue


def memory_of(processes: list[psutil.Process]) -> int:
    """Proportional set size of all of them, in bytes."""
    total = 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total


def main() -> None:
    """`python -m tests.support.holding URL CONNECTIONS`."""
    sys.stdout.write("begins\n")
    sys.stdout.flush()
    load = asyncio.run(keep(sys.argv[1], int(sys.argv[2])))
    sys.stdout.write(json.dumps({"kinds": load.kinds, "open_at_most": load.open_at_most}))


if __name__ == "__main__":
    main()
