"""A Gateway with fake models that serves real HTTP from a thread with its own event loop."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import uvicorn

from gateway.app import create_app
from integrations.fetch import Fetcher
from settings import Settings
from studio.ports import Studio
from tests.support.fakes import open_studio

Answer = TypeVar("Answer")
START_S = 30


@dataclass
class ServedStudio:
    """A running Gateway: its studio, its address and its event loop."""

    studio: Studio
    url: str
    loop: asyncio.AbstractEventLoop

    def do(self, deed: Callable[[Studio], Awaitable[Answer]]) -> Answer:
        """Runs the deed in the event loop of the Gateway and returns its result."""

        async def run() -> Answer:
            return await deed(self.studio)

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(60)


async def resolve_inside(host: str, port: int) -> list[str]:
    """Resolves every name to a private address, from which the studio fetches nothing."""
    return ["10.0.0.1"]


@contextmanager
def serving_gateway(settings: Settings) -> Iterator[ServedStudio]:
    """Serves a Gateway until the block ends; it can fetch from no other host."""
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    started = threading.Event()
    running: list[tuple[ServedStudio, uvicorn.Server]] = []

    async def serve() -> None:
        reachable = settings.model_copy(update={"public_url": url})
        async with open_studio(reachable, fetcher=Fetcher(resolve=resolve_inside)) as studio:
            config = uvicorn.Config(
                create_app(studio), log_config=None, access_log=False, proxy_headers=False,
                timeout_graceful_shutdown=5,
            )  # fmt: skip
            server = uvicorn.Server(config)
            running.append((ServedStudio(studio, url, asyncio.get_running_loop()), server))
            started.set()
            await server.serve(sockets=[listening])

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(START_S), "the Gateway did not start"
    served, server = running[0]
    try:
        yield served
    finally:
        server.should_exit = True
        thread.join(START_S)
