"""Searches that are understood, through the gateway: filters, exclusions, sorts and the log."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlmodel import select

from db.tables import SearchLog
from settings import Settings
from studio.ports import Studio
from tests.gateway.routes.test_search import upload
from tests.support.fakes import open_client, picture, sign_in
from tests.support.live import open_live_studio

PRODUCTS: tuple[dict[str, Any], ...] = (
    {"title": "Red dress", "category": "dress", "price": "60", "attributes": {"colour": "red"}},
    {"title": "Blue dress", "category": "dress", "price": "40", "attributes": {"colour": "blue"}},
    {"title": "Red striped dress", "category": "dress", "price": "50",
     "attributes": {"colour": "red", "pattern": "striped"}},
    {"title": "Red shirt", "category": "shirt", "price": "30", "inStock": False,
     "brand": "Ember Row", "attributes": {"colour": "red"}},
)  # fmt: skip


@pytest.fixture
async def studio(settings: Settings) -> AsyncIterator[Studio]:
    async with open_live_studio(settings) as opened:
        yield opened


@pytest.fixture
async def shop(client: httpx.AsyncClient, studio: Studio) -> dict[str, str]:
    """Four products; returns the merchant's headers."""
    headers = await sign_in(client, studio, "merchant")
    file_id = await upload(client, headers, picture("red"))
    for place, product in enumerate(PRODUCTS):
        body = {"currency": "EUR", "inStock": True, "brand": "Aldersea", "fileId": file_id}
        path = f"/api/catalog/products/p{place}"
        answer = await client.put(path, json=body | product, headers=headers)
        assert answer.status_code == 201, answer.text
    return headers


async def search(client: httpx.AsyncClient, query: str, **fields: Any) -> dict[str, Any]:
    answer = await client.post("/api/search/text", json={"query": query, **fields})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def ids(body: dict[str, Any]) -> list[str]:
    return [result["id"] for result in body["results"]]


@pytest.mark.usefixtures("shop")
async def test_words_narrow_a_search_and_the_answer_says_how(client: httpx.AsyncClient) -> None:
    body = await search(client, "red dress under 55")
    assert ids(body) == ["p2"] and body["total"] == 1
    assert body["understood"] == {
        "text": "red dress",
        "filters": {"category": ["dress"], "priceMax": 55, "attributes": {"colour": ["red"]}},
        "not": {},
        "sort": None,
    }
    body = await search(client, "robe rouge sans rayures")
    assert ids(body) == ["p0"]
    assert body["understood"]["text"] == "red dress"
    assert body["understood"]["not"] == {"attributes": {"pattern": ["striped"]}}


@pytest.mark.usefixtures("shop")
async def test_brand_stock_and_sort_are_understood(client: httpx.AsyncClient) -> None:
    assert ids(await search(client, "ember row")) == ["p3"]
    assert ids(await search(client, "red shirt in stock")) == []
    body = await search(client, "cheapest dress")
    assert ids(body) == ["p1", "p2", "p0"] and body["understood"]["sort"] == "priceAsc"
    body = await search(client, "cheapest dress", sort="priceDesc")
    assert ids(body) == ["p0", "p2", "p1"]


@pytest.mark.usefixtures("shop")
async def test_a_query_of_a_price_alone_finds_all_that_costs_so_much(
    client: httpx.AsyncClient,
) -> None:
    for fields in ({}, {"words": 0}):
        body = await search(client, "between 35 and 55 €", **fields)
        assert sorted(ids(body)) == ["p1", "p2"] and body["total"] == 2


@pytest.mark.usefixtures("shop")
async def test_filters_of_the_caller_win(client: httpx.AsyncClient) -> None:
    filters = {"attributes": {"Colour": "blue"}, "priceMax": 45}
    body = await search(client, "red dress under 55", filters=filters)
    assert ids(body) == ["p1"]
    assert body["understood"]["filters"] == {"category": ["dress"]}


@pytest.mark.usefixtures("shop")
async def test_words_can_be_searched_as_they_stand(client: httpx.AsyncClient) -> None:
    body = await search(client, "dress under 55", understand=False, words=0)
    assert body["understood"] is None
    assert body["total"] == len(PRODUCTS)
    answer = await client.post("/api/search/text", json={"query": "dress", "understand": "no"})
    assert answer.status_code == 422


async def test_a_hybrid_search_understands_its_words_unless_the_picture_is_all(
    client: httpx.AsyncClient, shop: dict[str, str]
) -> None:
    file_id = await upload(client, shop, picture("blue"))
    form = {"query": "dress under 55", "fileId": file_id}
    answer = await client.post("/api/search/hybrid", json=form, headers=shop)
    assert sorted(ids(answer.json())) == ["p1", "p2"]
    answer = await client.post("/api/search/hybrid", json=form | {"alpha": 1}, headers=shop)
    assert len(ids(answer.json())) == len(PRODUCTS)
    assert answer.json()["understood"] is None


@pytest.mark.usefixtures("shop")
async def test_the_next_page_is_of_the_same_understanding(client: httpx.AsyncClient) -> None:
    first = await search(client, "cheapest dress not striped", topK=1)
    assert ids(first) == ["p1"] and first["total"] == 2
    second = await search(client, "cheapest dress not striped", topK=1, cursor=first["nextCursor"])
    assert ids(second) == ["p0"] and second["nextCursor"] is None
    assert second["understood"] == first["understood"]


@pytest.mark.usefixtures("shop")
async def test_the_log_has_what_was_understood_without_the_words(studio: Studio) -> None:
    async with open_client(studio) as client:  # its end writes the log
        await search(client, "red dress under 55")
    async with studio.database.read() as session:
        row = (await session.exec(select(SearchLog))).one()
    assert row.params["understood"] == {
        "filters": {"category": ["dress"], "price_max": 55, "attributes": {"colour": ["red"]}}
    }
