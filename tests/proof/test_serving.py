"""A real Serve application: who leaves or runs out of time costs no network, and a backlog scales.

The network is slow on purpose; the plumbing between is the studio's.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from gateway.deadline import HEADER
from local.running import free_port

START_S = 120.0

pytestmark = [pytest.mark.proof, pytest.mark.timeout(400)]


class TinyServe:
    """The application of `tests.support.tiny_serve` in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}/api/search"
        command = [sys.executable, "-m", "tests.support.tiny_serve", str(folder), str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def wait(self, is_so: Callable[[], bool], most_s: float = START_S) -> bool:
        """Whether it became so in time."""
        end_s = time.monotonic() + most_s
        while not is_so():
            if time.monotonic() > end_s or self._process.poll() is not None:
                return False
            time.sleep(0.1)
        return True

    @property
    def status(self) -> str:
        """The state of the application and the number of the network's replicas."""
        path = self.folder / "replicas"
        return path.read_text() if path.exists() else ""

    @property
    def replicas(self) -> int:
        return int(self.status.split()[1])

    @property
    def computed(self) -> list[str]:
        """What the networks have begun to compute."""
        path = self.folder / "computed"
        return path.read_text().split() if path.exists() else []

    def end(self) -> None:
        """Ends the cluster."""
        (self.folder / "free").touch()
        (self.folder / "stop").touch()
        self._process.wait(60)


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[TinyServe]:
    started = TinyServe(tmp_path)
    try:
        assert started.wait(lambda: started.status.startswith("RUNNING 1")), started.status
        yield started
    finally:
        started.end()


async def ask(tiny: TinyServe, name: str, deadline_ms: int = 0) -> int:
    headers = {HEADER: str(deadline_ms)} if deadline_ms else {}
    async with httpx.AsyncClient(timeout=60) as client:
        return (await client.get(f"{tiny.url}/{name}", headers=headers)).status_code


async def leave(tiny: TinyServe, name: str) -> None:
    """Asks over a socket, and closes it a little later."""
    _, writer = await asyncio.open_connection("127.0.0.1", tiny.port)
    writer.write(f"GET /api/search/{name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await writer.drain()
    await asyncio.sleep(1)
    writer.close()
    await writer.wait_closed()


def test_nothing_is_computed_for_who_left_or_ran_out(tiny: TinyServe) -> None:
    async def crowd() -> list[int]:
        first = asyncio.create_task(ask(tiny, "first"))
        await asyncio.to_thread(tiny.wait, lambda: tiny.computed == ["first"], 30)
        await asyncio.gather(*(leave(tiny, f"leaver-{number}") for number in range(3)))
        late = [await ask(tiny, "late", deadline_ms=500)]
        patient = asyncio.create_task(ask(tiny, "patient"))
        await asyncio.sleep(2)  # so that cancellations have arrived
        (tiny.folder / "free").touch()
        return [*late, *await asyncio.gather(first, patient)]

    assert asyncio.run(crowd()) == [504, 200, 200]
    assert tiny.computed == ["first", "patient"]


def test_a_backlog_raises_the_replicas_and_its_end_lowers_them(tiny: TinyServe) -> None:
    (tiny.folder / "due").write_text("20")
    time.sleep(8)
    assert tiny.replicas == 1  # nobody works on it

    async def work() -> bool:
        asking = asyncio.create_task(ask(tiny, "one"))  # one request alone needs one replica
        has_grown = await asyncio.to_thread(tiny.wait, lambda: tiny.replicas == 3, 25)
        (tiny.folder / "free").touch()
        return has_grown and await asking == 200

    assert asyncio.run(work())
    (tiny.folder / "due").write_text("0")
    assert tiny.wait(lambda: tiny.replicas == 1, 60)
