"""`make proof`: 5,000 new prices embed nothing, and searches know each within two seconds."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import httpx
import pytest

from models.index.shapes import SearchAnswer, SearchQuery
from studio.ports import Studio
from tests.support.fakes import FakeEmbedder, make_settings, open_client, sign_in
from tests.support.live import SyncedIndex, open_live_studio
from tests.support.products import insert_products

PRODUCTS, SAMPLE = 5_000, 100
AT_ONCE = 8
LIMIT_S, SYNC_S = 2.0, 0.2


class FollowingIndex(SyncedIndex):
    """Searches what it has read of the catalogue, as a replica does."""

    async def search(self, query: SearchQuery) -> SearchAnswer:
        return await self.live.search(query)


@asynccontextmanager
async def watching(studio: Studio) -> AsyncIterator[Studio]:
    """The index reads changes five times a second, and not before each search."""
    live = cast(SyncedIndex, studio.index).live
    index = FollowingIndex(live)

    async def watch() -> None:
        while True:
            await live.sync()
            await asyncio.sleep(SYNC_S)

    task = asyncio.create_task(watch())
    try:
        yield replace(studio, index=index, embedder=FakeEmbedder(index=index))
    finally:
        task.cancel()


async def wait_for_price(client: httpx.AsyncClient, product_id: str, price: str) -> float:
    """The seconds until a search finds the product by its new price alone."""
    started_s = time.monotonic()
    body = {"query": "thing", "filters": {"priceMin": price, "priceMax": price}}
    while True:
        answer = await client.post("/api/search/text", json=body)
        assert answer.status_code == 200, answer.text
        waited_s = time.monotonic() - started_s
        if [one["id"] for one in answer.json()["results"]] == [product_id]:
            return waited_s
        assert waited_s < LIMIT_S, f"{product_id} is not found by its new price"
        await asyncio.sleep(0.02)


@pytest.mark.proof
@pytest.mark.timeout(900)
async def test_new_prices_embed_nothing_and_are_searched_at_once(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    settings = make_settings(
        database_url, redis_url, tmp_path / "blobs", limit_default=10**6, limit_search=10**6
    )
    async with open_live_studio(settings) as opened:
        await insert_products(opened.database, PRODUCTS)
        async with watching(opened) as studio, open_client(studio) as client:
            headers = await sign_in(client, studio, "admin")
            waits: list[float] = []
            started_s = time.monotonic()

            async def patch(place: int) -> None:
                price = f"{1000 + place}.25"
                path = f"/api/catalog/products/p{place}"
                answer = await client.patch(path, json={"price": price}, headers=headers)
                assert answer.status_code == 200, answer.text
                assert answer.json()["price"] == price
                if place % SAMPLE == 0:
                    waits.append(await wait_for_price(client, f"p{place}", price))

            for first in range(0, PRODUCTS, AT_ONCE):
                places = range(first, min(first + AT_ONCE, PRODUCTS))
                await asyncio.gather(*(patch(place) for place in places))
            took_s = time.monotonic() - started_s
            assert cast(FakeEmbedder, studio.embedder).images_embedded == 0
    assert len(waits) == PRODUCTS // SAMPLE
    print(  # noqa: T201
        f"\n{PRODUCTS} prices changed in {took_s:.0f} s, no picture embedded; "
        f"{len(waits)} searched for: found after {max(waits):.2f} s at most"
    )
