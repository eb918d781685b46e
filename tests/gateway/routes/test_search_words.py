"""Searches by the catalogue's words through the gateway, over the real catalogue and index."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from settings import Settings
from studio.index.build import build_version
from studio.index.versions import activate_version
from studio.ports import Studio
from tests.gateway.routes.test_search import upload
from tests.support.fakes import open_client, picture, sign_in
from tests.support.live import open_live_studio

PRODUCTS = (
    ("p1", "Plain red dress", "Dress", "Ember Row", "red"),
    ("p2", "Striped t-shirt", "T-Shirt", "Aldersea", "green"),
    ("p3", "Orange bag", "Bag", "Ember Row", "orange"),
    ("p4", "Leather boots", "Shoes", "Galloway", "brown"),
)


@pytest.fixture
async def studio(settings: Settings) -> AsyncIterator[Studio]:
    async with open_live_studio(settings) as opened:
        yield opened


@pytest.fixture
async def client(studio: Studio) -> AsyncIterator[httpx.AsyncClient]:
    """A client, signed in as a merchant, of a shop whose version was built with its products."""
    async with open_client(studio) as opened:
        opened.headers.update(await sign_in(opened, studio, "merchant"))
        for product_id, title, category, brand, colour in PRODUCTS:
            await put(opened, product_id, title, category, brand, colour)
        await activate_version(studio, await build_version(studio))
        yield opened


async def put(
    client: httpx.AsyncClient, product_id: str, title: str, category: str, brand: str, colour: str
) -> None:
    body = {
        "title": title, "category": category, "brand": brand, "price": "10", "currency": "EUR",
        "inStock": True, "attributes": {"colour": colour}, "sku": f"SKU/{product_id}-M",
        "fileId": await upload(client, dict(client.headers), picture(colour)),
    }  # fmt: skip
    answer = await client.put(f"/api/catalog/products/{product_id}", json=body)
    assert answer.status_code in (200, 201), answer.text


async def search(client: httpx.AsyncClient, query: str, **fields: Any) -> dict[str, Any]:
    answer = await client.post("/api/search/text", json={"query": query} | fields)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


async def first(client: httpx.AsyncClient, query: str) -> str:
    product_id: str = (await search(client, query, words=1))["results"][0]["id"]
    return product_id


@pytest.mark.parametrize(
    ("query", "product_id"),
    [
        ("Ember Row bag", "p3"), ("aldersea", "p2"), ("tshirts", "p2"), ("RED dresses", "p1"),
        ("robe rouge", "p1"), ("p4", "p4"), ("sku p4 m", "p4"), ("orenge bag", "p3"),
        ("Plain red dress", "p1"), ("galloway shoes", "p4"),
    ],
)  # fmt: skip
async def test_names_find_their_products(
    client: httpx.AsyncClient, query: str, product_id: str
) -> None:
    assert await first(client, query) == product_id


async def test_typing_errors_are_named(client: httpx.AsyncClient) -> None:
    """Understood words are corrected without it: `understood.text` shows them."""
    answer = await search(client, "orenge bag", understand=False)
    assert answer["didYouMean"] == "orange bag"
    assert (await search(client, "orenge bag"))["understood"]["text"] == "orange bag"
    assert (await search(client, "orange bag"))["didYouMean"] is None


async def test_changed_words_are_found_and_former_ones_are_not(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    await put(client, "p3", "Turquoise clutch", "Bag", "Zibeline", "orange")
    await put(client, "p5", "Velvet cape", "Cape", "Ember Row", "black")
    for _ in range(2):
        assert await first(client, "zibeline") == "p3"
        assert await first(client, "velvet") == "p5"
        assert await first(client, "SKU/p5-M") == "p5"
        former = {hit["id"]: hit["score"] for hit in (await search(client, "orange"))["results"]}
        assert former.get("p3", 0) < 1
        await activate_version(studio, await build_version(studio))
    assert (await client.delete("/api/catalog/products/p5")).status_code == 204
    hits = (await search(client, "velvet"))["results"]
    assert "p5" not in [hit["id"] for hit in hits]


async def test_without_weight_the_words_of_the_catalogue_are_ignored(
    client: httpx.AsyncClient,
) -> None:
    answer = await search(client, "aldersea", words=0)
    assert answer["didYouMean"] is None
    refused = await client.post("/api/search/text", json={"query": "x", "words": 1.5})
    assert refused.status_code == 422
