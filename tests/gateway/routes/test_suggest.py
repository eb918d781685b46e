"""Suggestions through the gateway: products, categories, brands, and what others searched for."""

import asyncio
from contextlib import AsyncExitStack

import httpx
import pytest

from studio.ports import Studio
from tests.gateway.routes.test_understanding import search, shop, studio
from tests.support.fakes import open_client

__all__ = ["shop", "studio"]


async def suggest(client: httpx.AsyncClient, q: str, **params: int) -> list[tuple[str, str]]:
    answer = await client.get("/api/search/suggest", params={"q": q, **params})
    assert answer.status_code == 200, answer.text
    return [(one["kind"], one["text"]) for one in answer.json()["suggestions"]]


@pytest.mark.usefixtures("shop")
async def test_beginnings_of_words_are_completed(client: httpx.AsyncClient) -> None:
    assert await suggest(client, "ald") == [("brand", "Aldersea"), ("product", "Red dress"),
        ("product", "Blue dress"), ("product", "Red striped dress")]  # fmt: skip
    assert ("category", "dress") in await suggest(client, "dr")
    assert await suggest(client, "red str") == [("product", "Red striped dress")]
    answer = await client.get("/api/search/suggest", params={"q": "red str"})
    assert answer.json()["suggestions"] == [
        {"text": "Red striped dress", "kind": "product", "productId": "p2"}
    ]
    assert len(await suggest(client, "re", limit=1)) == 1
    assert await suggest(client, "washing machine") == []


@pytest.mark.usefixtures("shop")
async def test_typing_errors_are_forgiven(client: httpx.AsyncClient) -> None:
    assert ("brand", "Aldersea") in await suggest(client, "aldesrea")
    assert ("product", "Red striped dress") in await suggest(client, "strped dress")


async def test_bad_questions_are_refused(client: httpx.AsyncClient) -> None:
    wrong: list[dict[str, str | int]] = [
        {}, {"q": ""}, {"q": "x" * 101}, {"q": "x", "limit": 21},
    ]  # fmt: skip
    for params in wrong:
        answer = await client.get("/api/search/suggest", params=params)
        assert answer.status_code == 422, params


@pytest.mark.usefixtures("shop")
async def test_a_query_of_three_networks_is_suggested_and_personal_ones_are_not(
    studio: Studio,
) -> None:
    queries = ("Dress for a party", "dress of ann@example.com", "dress 0171 2345678")
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(open_client(studio, address=f"192.0.2.{place}"))
            for place in (1, 2, 3)
        ]
        for query in queries:
            for client in clients:
                await search(client, query)
        for _ in range(3):
            await search(clients[0], "dress of one network")
    async with open_client(studio) as client:  # the others have written their searches
        for _ in range(500):
            suggestions = await suggest(client, "dress")
            if any(kind == "query" for kind, _ in suggestions):
                break
            await asyncio.sleep(0.02)  # they are read behind the answers
    assert [text for kind, text in suggestions if kind == "query"] == ["dress for a party"]
