"""A Gateway on real HTTP, in a thread with an event loop of its own; only the models are small."""

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
    """Where it answers, and a way to do something with its studio in its own loop."""

    studio: Studio
    url: str
    loop: asyncio.AbstractEventLoop

    def do(self, deed: Callable[[Studio], Awaitable[Answer]]) -> Answer:
        """What the deed returns; it runs beside the requests."""

        async def run() -> Answer:
            return await deed(self.studio)

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(60)


async def resolve_inside(host: str, port: int) -> list[str]:
    """Tests ask no name server: every name is a private address, where nothing is fetched from."""
    return ["10.0.0.1"]


@contextmanager
def serving_gateway(settings: Settings) -> Iterator[ServedStudio]:
    """Until the block ends; every name of the outside world is refused."""
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
