"""Limits on how many requests to the models one Gateway works on at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from errors import Unavailable
from gateway.concurrency import Concurrency
from integrations.fair_semaphore import Caller, OwnerBusy
from models.embedder.shapes import Embedding
from studio.ports import Studio
from tests.support.fakes import FakeEmbedder, open_client

WORDS = {"query": "red dress"}


class SlowEmbedder(FakeEmbedder):
    """Reports that it runs, and waits until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.busy, self.go_on = asyncio.Event(), asyncio.Event()

    async def version(self) -> str:
        self.busy.set()
        await self.go_on.wait()
        raise Unavailable("let go")

    async def embed_text(self, text: str) -> Embedding:
        raise AssertionError("nobody gets this far")


async def test_one_more_than_the_places_is_told_to_wait(studio: Studio) -> None:
    embedder = SlowEmbedder()
    settings = studio.settings.model_copy(update={"concurrent_search": 1})
    async with open_client(replace(studio, settings=settings, embedder=embedder)) as client:
        first = asyncio.create_task(client.post("/api/search/text", json=WORDS))
        await asyncio.wait_for(embedder.busy.wait(), 10)
        async with client_from(client, "192.0.2.2") as another:
            refused = await another.post("/api/search/text", json=WORDS)
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["content-type"] == "application/problem+json"
        assert "ratelimit" in refused.headers
        # Other routes have their own places, or need none.
        assert (await client.get("/api/auth/me")).status_code == 401
        embedder.go_on.set()
        assert (await first).json()["detail"] == "let go"
        assert (await client.post("/api/search/text", json=WORDS)).json()["detail"] == "let go"


async def test_one_caller_takes_only_a_share_of_the_places(studio: Studio) -> None:
    """Eighty callers of one address do not affect the caller of another."""
    embedder = SlowEmbedder()
    settings = studio.settings.model_copy(update={"concurrent_search": 256})
    async with open_client(replace(studio, settings=settings, embedder=embedder)) as client:
        flood = [
            asyncio.create_task(client.post("/api/search/text", json=WORDS)) for _ in range(80)
        ]
        done = await ended(flood, 80 - 64)
        assert {task.result().status_code for task in done} == {429}
        assert all("retry-after" in task.result().headers for task in done)
        async with client_from(client, "192.0.2.2") as another:
            search = asyncio.create_task(another.post("/api/search/text", json=WORDS))
            embedder.go_on.set()
            assert (await search).json()["detail"] == "let go"
        await asyncio.gather(*flood)


async def test_sync_requests_of_one_account_and_of_one_network_leave_places(
    studio: Studio,
) -> None:
    """Sixty synchronous try-ons of one account, or of eight, once occupied all places."""
    arrived, go_on = list[str](), asyncio.Event()

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        arrived.append(scope["state"]["caller"].name)
        await go_on.wait()

    layer = Concurrency(wait, studio.settings)

    async def request(name: str, network: str) -> None:
        state = {"caller": Caller(name, network)}
        scope = {"type": "http", "method": "POST", "path": "/api/cv/tryon", "state": state}
        await layer(scope, nothing, nothing)

    tasks = [asyncio.create_task(request("user:a", "192.0.2.1")) for _ in range(60)]
    refused = await ended(tasks, 56)
    assert all(isinstance(task.exception(), OwnerBusy) for task in refused)
    tasks += [asyncio.create_task(request(f"user:{n}", "192.0.2.1")) for n in range(28)]
    await ended(tasks, 56 + 24)
    tasks += [asyncio.create_task(request("user:b", "192.0.2.2")) for _ in range(4)]
    await asyncio.sleep(0)
    assert arrived.count("user:a") == arrived.count("user:b") == 4 and len(arrived) == 12
    look = {"type": "http", "method": "GET", "path": "/api/cv/tryons"}
    state = {"caller": Caller("user:a", "192.0.2.1")}
    tasks.append(asyncio.create_task(layer(look | {"state": state}, nothing, nothing)))
    await asyncio.sleep(0)
    assert len(arrived) == 13, "a look at one's own try-ons costs no model and takes no place"
    go_on.set()
    await asyncio.gather(*tasks, return_exceptions=True)


async def nothing(*_: object) -> Any:
    return None


async def ended(tasks: list[asyncio.Task[Any]], count: int) -> list[asyncio.Task[Any]]:
    """Waits until exactly this many tasks have ended."""
    async with asyncio.timeout(10):
        while len(done := [task for task in tasks if task.done()]) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert len(done) == count
    return done


@asynccontextmanager
async def client_from(client: httpx.AsyncClient, address: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the same Gateway from another network."""
    app = client._transport.app  # type: ignore[attr-defined]
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False, client=(address, 1234))
    async with httpx.AsyncClient(transport=transport, base_url=client.base_url) as another:
        yield another


@pytest.mark.parametrize("path", ["/api/search/image", "/api/cv/segmentation", "/api/cv/tryon"])
async def test_a_place_is_free_again_whatever_happened(studio: Studio, path: str) -> None:
    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("broken")

    settings = studio.settings.model_copy(update={"concurrent_search": 1, "concurrent_cv": 1})
    layer = Concurrency(fail, settings)
    transport = httpx.ASGITransport(app=layer)
    async with httpx.AsyncClient(transport=transport, base_url="http://studio.test") as client:
        for _ in range(3):
            with pytest.raises(RuntimeError):
                await client.post(path)
