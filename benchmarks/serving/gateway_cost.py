"""What auth, limits, request ids and logging cost: requests a second with and without them.

    python -m benchmarks.serving.gateway_cost [seconds a turn]

Each variant is the studio's own application under uvicorn in a process of its own, on the same
real PostgreSQL and Valkey, with small models in process; a client of raw sockets asks the same
over loopback, one variant after the other in alternating rounds. `bare` has no layer at all and
is told who asks; the rows between add one thing after the other.
"""

import asyncio
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import psutil

RESULTS = Path(__file__).parents[1] / "results" / "gateway_cost.md"
VARIANTS = ("bare", "ids and log", "ids, log, limits", "all: with auth")
CALLERS = 16
ROUNDS = 5
WORDS = b'{"query": "red dress", "topK": 10}'
ROUTES = {
    f"text search, 10 products, {CALLERS} callers": ("POST", "/api/search/text", WORDS, CALLERS),
    "text search, 10 products, one caller": ("POST", "/api/search/text", WORDS, 1),
    f"a route that does nothing, {CALLERS} callers": ("GET", "/api/auth/me", b"", CALLERS),
}


def serve(variant: str, given: dict[str, str]) -> None:
    """Child process: one variant, until it is ended."""
    import uvicorn
    from fastapi import FastAPI

    import gateway.app
    from gateway.client_address import ClientAddress
    from gateway.deps import CurrentUser, find_user
    from gateway.envelope import Envelope
    from gateway.limits import RateLimit
    from tests.support.fakes import make_settings, open_studio

    user = CurrentUser(UUID(given["user"]), "a@example.com", None, "customer", uuid4())
    settings = make_settings(
        given["database"], given["redis"], Path(given["folder"]),
        limit_search=10**9, limit_default=10**9,
    )  # fmt: skip

    async def told() -> CurrentUser:
        return user

    def add_layers(app: FastAPI, observers: Any) -> None:
        if variant == "ids, log, limits":
            tokens: Any = Nobody()
            app.add_middleware(RateLimit, limits=app.state.limits, tokens=tokens)
        if variant != "bare":
            app.add_middleware(Envelope, client_address=ClientAddress(()), observers=observers)
        app.dependency_overrides[find_user] = told

    class Nobody:
        def read(self, token: str) -> None:
            return None

    async def run() -> None:
        async with open_studio(settings) as studio:
            for product_id in given["products"].split():
                vector = (await studio.embedder.embed_text(f"red dress {product_id}")).vector
                studio.index.put(product_id, vector)  # type: ignore[attr-defined]
            if variant != VARIANTS[-1]:
                gateway.app.add_layers = add_layers
            config = uvicorn.Config(
                gateway.app.create_app(studio), host="127.0.0.1", port=int(given["port"]),
                log_config=None, access_log=False, proxy_headers=False,
            )  # fmt: skip
            await uvicorn.Server(config).serve()

    sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - the log lines are made, not kept
    asyncio.run(run())


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
    """One that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


async def prepare(settings: Any) -> tuple[str, str, str]:
    """(access token, user id, product ids) of a studio with ten products."""
    from tests.gateway.belongings import open_account, put_product
    from tests.support.fakes import open_client, open_studio

    async with open_studio(settings) as studio, open_client(studio) as client:
        merchant = await open_account(client, studio, "merchant")
        products = [await put_product(client, merchant) for _ in range(10)]
    token = merchant.headers["Authorization"].removeprefix("Bearer ")
    return token, str(merchant.id), " ".join(products)


@dataclass(frozen=True)
class Running:
    """A variant that answers."""

    port: int
    process: subprocess.Popen[bytes]

    def cpu_s(self) -> float:
        """What it has used so far; on a busy machine the steadier measure."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)


def start(variant: str, given: dict[str, str]) -> Running:
    """In a process of its own."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.serving.gateway_cost", "--serve", variant]
    child = subprocess.Popen([*command, json.dumps(given | {"port": str(port)})])
    for _ in range(600):
        try:
            httpx.get(f"http://127.0.0.1:{port}/api/health/live")
            return Running(port, child)
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError(f"{variant} did not start")


@dataclass(frozen=True)
class Turn:
    """Requests a second as the client saw them, and the server's CPU for each, in microseconds."""

    rate: float
    cpu_us: float


Found = dict[str, dict[str, Turn]]


def measure(running: dict[str, Running], token: str, seconds: float) -> Found:
    """By route and variant: medians of rounds that alternate between the variants."""
    turns: dict[str, dict[str, list[Turn]]] = {}
    for turn in range(ROUNDS + 1):
        for route in ROUTES:
            request = raw_request(route, token)
            found = turns.setdefault(route, {name: [] for name in VARIANTS})
            for variant in VARIANTS if turn % 2 else VARIANTS[::-1]:
                server = running[variant]
                before_s = server.cpu_s()
                answered, took_s = asyncio.run(
                    load(server.port, request, ROUTES[route][-1], seconds)
                )
                cpu_us = (server.cpu_s() - before_s) / answered * 1e6
                if turn:  # the first round warms up
                    found[variant].append(Turn(answered / took_s, cpu_us))
    return {
        route: {
            name: Turn(
                statistics.median(one.rate for one in each),
                statistics.median(one.cpu_us for one in each),
            )
            for name, each in found.items()
        }
        for route, found in turns.items()
    }


def write_table(found: Found) -> str:
    """Markdown; the cost is what is lost of the bare route's requests a second."""
    lines = [f"| route | {' | '.join(VARIANTS)} | cost of all |", "|---" * 6 + "|"]
    for route, turns in found.items():
        bare, whole = turns["bare"], turns[VARIANTS[-1]]
        cells = " | ".join(f"{turns[name].rate:.0f}/s" for name in VARIANTS)
        lines.append(f"| {route} | {cells} | {1 - whole.rate / bare.rate:.0%} |")
        cells = " | ".join(f"{turns[name].cpu_us:.0f} µs" for name in VARIANTS)
        lines.append(f"| … CPU a request | {cells} | {1 - bare.cpu_us / whole.cpu_us:.0%} |")
    return "\n".join(lines)


def main() -> None:
    """Starts servers and variants, measures, and writes the table."""
    from db.migrate import upgrade
    from local.servers.postgres import Postgres
    from local.servers.valkey import Valkey
    from tests.support.fakes import make_settings

    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    folder = Path(tempfile.mkdtemp(prefix="studio-cost-"))
    folder.chmod(0o711)
    postgres, valkey = Postgres(folder, durable=False), Valkey(folder)
    running: dict[str, Running] = {}
    try:
        postgres.start()
        given = {
            "database": postgres.url("postgres"), "redis": valkey.start(),
            "folder": str(folder / "blobs"),
        }  # fmt: skip
        upgrade(given["database"])
        settings = make_settings(given["database"], given["redis"], folder / "blobs")
        token, given["user"], given["products"] = asyncio.run(prepare(settings))
        for variant in VARIANTS:
            running[variant] = start(variant, given)
        table = write_table(measure(running, token, seconds))
    finally:
        for server in running.values():
            server.process.terminate()
            server.process.wait(20)
        valkey.stop()
        postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print(table)
    head = (
        f"`python -m benchmarks.serving.gateway_cost {seconds:g}`, {time.strftime('%Y-%m-%d')}, "
        f"{os.cpu_count()} cores, load before {os.getloadavg()[0]:.1f}"
    )
    RESULTS.write_text(f"{head}\n\n{table}\n")


if __name__ == "__main__":
    if "--serve" in sys.argv:
        serve(sys.argv[2], json.loads(sys.argv[3]))
    else:
        main()
