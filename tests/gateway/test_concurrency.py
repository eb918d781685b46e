"""How many requests one Gateway works on at once, where each costs the models."""

import asyncio
from dataclasses import replace

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from errors import Unavailable
from gateway.concurrency import Concurrency
from studio.ports import Embedding, Studio
from tests.fakes import FakeEmbedder, open_client

WORDS = {"query": "red dress"}


class SlowEmbedder(FakeEmbedder):
    """Says that it is at work, and waits until it is let go."""

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
        refused = await client.post("/api/search/text", json=WORDS)
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["content-type"] == "application/problem+json"
        assert "ratelimit" in refused.headers
        # Other routes have their own places, or need none.
        assert (await client.get("/api/auth/me")).status_code == 401
        embedder.go_on.set()
        assert (await first).json()["detail"] == "let go"
        assert (await client.post("/api/search/text", json=WORDS)).json()["detail"] == "let go"


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
