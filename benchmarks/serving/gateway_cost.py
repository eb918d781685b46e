"""What auth, limits, request ids and logging cost: requests a second with and without them.

    python -m benchmarks.serving.gateway_cost [seconds a turn]

Each variant is the studio's own application under uvicorn in a process of its own, on the same
real PostgreSQL and Valkey, with small models in process. A client with raw sockets sends the same
requests over loopback, to one variant after the other in alternating rounds. `bare` has no layer at
all and gets the caller's identity without a check; the rows between add one layer after the other.
"""

import asyncio
import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from benchmarks.report import head, keep, load_average

VARIANTS = ("bare", "ids and log", "ids, log, limits", "all: with auth")
MODULE = "tests.support.gateway_variants"
CALLERS = 16
ROUNDS = 5
WORDS = b'{"query": "red dress", "topK": 10}'
ROUTES = {
    f"text search, 10 products, {CALLERS} callers": ("POST", "/api/search/text", WORDS, CALLERS),
    "text search, 10 products, one caller": ("POST", "/api/search/text", WORDS, 1),
    f"a route that does nothing, {CALLERS} callers": ("GET", "/api/auth/me", b"", CALLERS),
}


async def load(port: int, request: bytes, callers: int, seconds: float) -> tuple[int, float]:
    """(requests, seconds) of so many connections that ask again as soon as they are answered."""
    end_s = time.perf_counter() + seconds
    answered = 0

    async def caller() -> None:
        nonlocal answered
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < end_s:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            answered += 1
        writer.close()

    started_s = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return answered, time.perf_counter() - started_s


def raw_request(route: str, token: str) -> bytes:
    """The bytes of one request."""
    method, path, body, _ = ROUTES[route]
    lines = (
        f"{method} {path} HTTP/1.1", "Host: studio.test", f"Authorization: Bearer {token}",
        "Content-Type: application/json", f"Content-Length: {len(body)}",
    )  # fmt: skip
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def free_port() -> int:
    """A free TCP port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def servers(folder: Path) -> Iterator[dict[str, str]]:
    """Addresses of an empty PostgreSQL with the studio's tables and of a Valkey."""
    from db.migrate import upgrade
    from local.servers.postgres import Postgres
    from local.servers.valkey import Valkey

    postgres, valkey = Postgres(folder, durable=False), Valkey(folder)
    try:
        postgres.start()
        environment = {
            "database": postgres.url("postgres"), "redis": valkey.start(),
            "folder": str(folder / "blobs"),
        }  # fmt: skip
        upgrade(environment["database"])
        yield environment
    finally:
        valkey.stop()
        postgres.stop()


def run_variant(variant: str, environment: dict[str, str]) -> list[str]:
    """The command of a variant's process: `tests/support/gateway_variants.py`."""
    return [sys.executable, "-m", MODULE, variant, json.dumps(environment)]


def prepare(environment: dict[str, str]) -> dict[str, str]:
    """An access token, its user's id, and the ids of ten products."""
    output = subprocess.run(run_variant("prepare", environment), capture_output=True, check=True)
    prepared: dict[str, str] = json.loads(output.stdout.splitlines()[-1])
    return prepared


@dataclass(frozen=True)
class RunningVariant:
    """A running variant: its process and its address."""

    port: int
    process: subprocess.Popen[bytes]

    def cpu_s(self) -> float:
        """The CPU seconds of the process so far, a steadier measure on a busy machine."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)


def start(variant: str, environment: dict[str, str]) -> RunningVariant:
    """Starts a variant in a process of its own."""
    port = free_port()
    child = subprocess.Popen(run_variant(variant, environment | {"port": str(port)}))
    for _ in range(600):
        try:
            httpx.get(f"http://127.0.0.1:{port}/api/health/live")
            return RunningVariant(port, child)
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError(f"{variant} did not start")


@dataclass(frozen=True)
class Turn:
    """Requests a second as the client saw them, and the server's CPU for each, in microseconds."""

    rate: float
    cpu_us: float


Turns = dict[str, dict[str, Turn]]


def measure(running: dict[str, RunningVariant], token: str, seconds: float) -> Turns:
    """By route and variant: medians of rounds that alternate between the variants."""
    turns: dict[str, dict[str, list[Turn]]] = {}
    for turn in range(ROUNDS + 1):
        for route in ROUTES:
            request = raw_request(route, token)
            turns_by_variant = turns.setdefault(route, {name: [] for name in VARIANTS})
            for variant in VARIANTS if turn % 2 else VARIANTS[::-1]:
                server = running[variant]
                before_s = server.cpu_s()
                answered, took_s = asyncio.run(
                    load(server.port, request, ROUTES[route][-1], seconds)
                )
                cpu_us = (server.cpu_s() - before_s) / answered * 1e6
                if turn:  # the first round warms up
                    turns_by_variant[variant].append(Turn(answered / took_s, cpu_us))
    return {
        route: {
            name: Turn(
                statistics.median(one.rate for one in each),
                statistics.median(one.cpu_us for one in each),
            )
            for name, each in turns_by_variant.items()
        }
        for route, turns_by_variant in turns.items()
    }


def write_table(turns_of: Turns) -> str:
    """Markdown; the cost is what is lost of the bare route's requests a second."""
    lines = [f"| route | {' | '.join(VARIANTS)} | cost of all |", "|---" * 6 + "|"]
    for route, turns in turns_of.items():
        bare, whole = turns["bare"], turns[VARIANTS[-1]]
        cells = " | ".join(f"{turns[name].rate:.0f}/s" for name in VARIANTS)
        lines.append(f"| {route} | {cells} | {1 - whole.rate / bare.rate:.0%} |")
        cells = " | ".join(f"{turns[name].cpu_us:.0f} µs" for name in VARIANTS)
        lines.append(f"| … CPU a request | {cells} | {1 - bare.cpu_us / whole.cpu_us:.0%} |")
    return "\n".join(lines)


def main() -> None:
    """Starts servers and variants, measures, and writes the table."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    folder = Path(tempfile.mkdtemp(prefix="studio-cost-"))
    folder.chmod(0o711)  # PostgreSQL runs as another user where this one is root
    running: dict[str, RunningVariant] = {}
    try:
        with servers(folder) as addresses:
            prepared = prepare(addresses)
            token = prepared.pop("token")
            for variant in VARIANTS:
                running[variant] = start(variant, addresses | prepared)
            table = write_table(measure(running, token, seconds))
            for server in running.values():
                server.process.terminate()
                server.process.wait(20)
    finally:
        for server in running.values():
            server.process.kill()
        shutil.rmtree(folder, ignore_errors=True)
    title = head(f"python -m benchmarks.serving.gateway_cost {seconds:g}")
    keep("gateway_cost", [f"{title}, load before {load_average():.1f}", "", table])


if __name__ == "__main__":
    main()
