"""Filters, counts, orders and pages of searches through the gateway."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlmodel import select

from db.tables import SearchLog
from gateway.routes.search import TEXT_EXAMPLES, to_price
from settings import Settings
from studio.index.build import build_version
from studio.index.versions import activate_version
from studio.ports import Studio
from tests.gateway.routes.test_search import COLOURS, product, upload
from tests.support.fakes import open_client, picture, sign_in
from tests.support.live import SyncedIndex, open_live_studio

THINGS = {"query": "thing", "topK": 4}


@pytest.fixture
async def studio(settings: Settings) -> AsyncIterator[Studio]:
    async with open_live_studio(settings) as opened:
        yield opened


@pytest.fixture
async def client(studio: Studio) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a shop of twelve products in six colours; even and odd ones are groups of six."""
    async with open_client(studio) as opened:
        headers = await sign_in(opened, studio, "merchant")
        files = [await upload(opened, headers, picture(colour)) for colour in COLOURS]
        for place in range(12):
            body = product(files[place % 6], place % 6) | {
                "price": f"{10 + place}.50",
                "attributes": {"colour": COLOURS[place % 6]}
                | ({"size": ["S", "M"][: place % 3]} if place % 3 else {}),
            }
            answer = await opened.put(
                f"/api/catalog/products/p{place:02}", json=body, headers=headers
            )
            assert answer.status_code == 201, answer.text
        yield opened


async def search(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await client.post("/api/search/text", json=THINGS | fields)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def ids(body: dict[str, Any]) -> list[str]:
    return [result["id"] for result in body["results"]]


FILTERS: list[tuple[dict[str, Any], int]] = [
    ({}, 12),
    ({"attributes": {"COLOUR": "Red"}}, 2),
    ({"attributes": {"colour": ["red", "blue"], "size": "s"}}, 2),
    ({"not": {"attributes": {"colour": "red"}}}, 10),
    ({"not": {"category": "dress", "inStock": False}}, 4),
    ({"not": {"priceMin": "12", "priceMax": "20"}}, 4),
    ({"category": "dress", "not": {"brand": "ärmel"}}, 4),
    ({"not": {}}, 12),
    ({"currency": "eur"}, 12),
    ({"currency": "USD"}, 0),
    ({"groupId": "nothing"}, 0),
]


async def test_filters_and_their_opposites(client: httpx.AsyncClient) -> None:
    for filters, total in FILTERS:
        body = await search(client, filters=filters)
        assert body["total"] == total and len(body["results"]) == min(4, total), filters
        assert (body["nextCursor"] is None) == (total <= 4)


async def test_facets_count_all_pages_and_ignore_their_own_filter(
    client: httpx.AsyncClient,
) -> None:
    body = await search(
        client,
        filters={"category": "dress", "attributes": {"colour": ["blue", "yellow"]}},
        facets=["category", "brand", "inStock", "price", "attributes.Colour", "attributes.none"],
    )
    assert body["total"] == 4
    facets = body["facets"]
    assert facets["category"] == [{"value": "Dress", "count": 4}]
    assert facets["brand"] == [{"value": "Ärmel", "count": 2}]
    assert facets["inStock"] == [{"value": True, "count": 4}]
    assert facets["attributes.Colour"] == [
        {"value": value, "count": 2} for value in ("blue", "cyan", "yellow")
    ]
    assert facets["attributes.none"] == []
    assert (facets["price"]["min"], facets["price"]["max"]) == ("11.50", "19.50")
    assert facets["price"]["ranges"] == [
        {"from": f"{price}.00", "to": f"{price + 1}.00", "count": 1} for price in (11, 13, 17, 19)
    ]
    assert (await search(client))["facets"] is None
    nothing = await search(client, filters={"brand": "x"}, facets=["price"])
    assert nothing["facets"]["price"] == {"min": None, "max": None, "ranges": []}


async def test_an_order_holds_over_all_pages(client: httpx.AsyncClient) -> None:
    names = [f"p{place:02}" for place in range(12)]
    for sort, order in (("priceAsc", names), ("priceDesc", names[::-1]), ("newest", names[::-1])):
        pages = await walk(client, "text", THINGS | {"sort": sort})
        assert [ids(page) for page in pages] == [order[:4], order[4:8], order[8:]]
        assert [page["total"] for page in pages] == [12, 12, 12]


async def walk(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], **more: Any
) -> list[dict[str, Any]]:
    """All pages of a search."""
    pages: list[dict[str, Any]] = []
    while not pages or pages[-1]["nextCursor"]:
        cursor = {"cursor": pages[-1]["nextCursor"]} if pages else {}
        if path.startswith("similar"):
            answer = await client.get(f"/api/search/{path}", params=body | cursor)
        else:
            answer = await client.post(f"/api/search/{path}", json=body | cursor, **more)
        assert answer.status_code == 200, answer.text
        pages.append(answer.json())
    return pages


async def test_every_kind_of_search_has_pages(client: httpx.AsyncClient) -> None:
    image = (await client.get("/api/catalog/products/p01")).json()["image"]
    by_picture = {"imageUrl": image, "topK": 5}
    kinds: list[tuple[str, dict[str, Any], int]] = [
        ("text", THINGS, 12),
        ("image", by_picture, 12),
        ("hybrid", by_picture | {"query": "thing"}, 12),
        ("hybrid", by_picture | {"query": "thing", "alpha": 0}, 12),
        ("similar/p01", {"topK": "5"}, 11),
        ("similar/p01", {"topK": "3", "filters": '{"category": "dress"}'}, 5),
    ]
    for path, body, total in kinds:
        pages = await walk(client, path, body)
        listed = [one for page in pages for one in ids(page)]
        assert len(listed) == len(set(listed)) == total == pages[0]["total"], path
        whole = await walk(client, path, body | {"topK": 200})
        assert len(whole) == 1 and ids(whole[0]) == listed


async def test_the_next_page_needs_neither_picture_nor_model(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    image = (await client.get("/api/catalog/products/p01")).json()["image"]
    body = {"imageUrl": image.split("?")[0], "topK": 5}
    first = (await client.post("/api/search/image", json=body)).json()
    studio.embedder.failure = RuntimeError("no model runs")  # type: ignore[attr-defined]
    again = body | {"imageUrl": image, "cursor": first["nextCursor"], "topK": 7}
    second = (await client.post("/api/search/image", json=again)).json()
    assert len(second["results"]) == 7 and second["nextCursor"] is None
    assert not set(ids(first)) & set(ids(second))


async def test_groups_show_their_best_with_the_others(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    async with studio.database.transaction() as session:
        await session.exec(  # type: ignore[call-overload]
            text(
                "UPDATE product SET change_seq = nextval('product_change_seq'),"
                " group_id = CASE WHEN id < 'p06' THEN 'First' WHEN id < 'p10' THEN 'second' END"
            )
        )
    body = await search(client, groupBy="groupId", sort="priceAsc", facets=["inStock", "brand"])
    assert [(one["id"], one["groupId"]) for one in body["results"]] == [
        ("p00", "First"), ("p06", "second"), ("p10", None), ("p11", None),
    ]  # fmt: skip
    variants = [[one["id"] for one in result["variants"]] for result in body["results"]]
    assert variants == [["p01", "p02", "p03", "p04", "p05"], ["p07", "p08", "p09"], [], []]
    assert (body["total"], body["nextCursor"]) == (4, None)
    assert body["facets"]["inStock"] == [{"value": True, "count": 3}, {"value": False, "count": 2}]
    assert (await search(client))["results"][0]["variants"] is None
    similar = await client.get("/api/search/similar/p02", params={"groupBy": "groupId"})
    assert {one["id"] for one in similar.json()["results"]} & {
        f"p{n:02}" for n in range(6)
    } == set()
    assert similar.json()["total"] == 3
    assert (await search(client, filters={"groupId": "FIRST"}))["total"] == 6


async def test_a_cursor_holds_for_its_own_search_and_as_long_as_its_index(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    first = await search(client)
    cursor = first["nextCursor"]
    for change, status in (
        ({"query": "things"}, 422),
        ({"sort": "newest"}, 422),
        ({"filters": {"category": "dress"}}, 422),
        ({"cursor": "x" * 50}, 400),
        ({"cursor": cursor[:-3]}, 400),
        ({"cursor": "é"}, 400),
        ({"cursor": ""}, 422),
    ):
        answer = await client.post("/api/search/text", json=THINGS | {"cursor": cursor} | change)
        assert answer.status_code == status, (change, answer.text)
    await activate_version(studio, await build_version(studio))
    assert len((await search(client, cursor=cursor))["results"]) == 4
    assert isinstance(studio.index, SyncedIndex)
    studio.index.live._previous = None  # what ten minutes do
    expired = await client.post("/api/search/text", json=THINGS | {"cursor": cursor})
    assert expired.status_code == 409
    assert expired.json()["type"].endswith("cursor-expired")
    assert (await search(client))["indexVersion"] != first["indexVersion"]


UNKNOWN: list[dict[str, Any]] = [
    {"facets": ["title"]}, {"facets": ["attributes."]}, {"facets": ["brand"] * 21},
    {"sort": "price"}, {"groupBy": "brand"}, {"filters": {"currency": "Euro"}},
    {"filters": {"not": {"not": {}}}}, {"filters": {"attributes": {"a": 1}}},
    {"filters": {"attributes": {"a" * 65: "b"}}},
]  # fmt: skip
BY_ADDRESS: list[tuple[dict[str, Any], int]] = [
    ({"filters": "{"}, 400), ({"filters": "[1]"}, 422), ({"filters": '{"size": 1}'}, 422),
    ({"sort": "x"}, 422), ({"facets": "title"}, 422), ({"cursor": "x"}, 400),
    ({"facets": ["brand", "price"], "filters": '{"inStock": true}'}, 200),
]  # fmt: skip


async def test_unknown_names_are_refused(client: httpx.AsyncClient) -> None:
    for fields in UNKNOWN:
        answer = await client.post("/api/search/text", json=THINGS | fields)
        assert answer.status_code == 422, (fields, answer.text)
    for params, status in BY_ADDRESS:
        answer = await client.get("/api/search/similar/p00", params=params)
        assert answer.status_code == status, (params, answer.text)


async def test_the_log_names_what_was_asked(settings: Settings) -> None:
    async with open_live_studio(settings) as studio:
        async with open_client(studio) as opened:
            for fields in ({}, {"sort": "newest", "facets": ["brand"], "groupBy": "groupId"}):
                answer = await opened.post("/api/search/text", json=THINGS | fields)
                assert answer.status_code == 200
        async with studio.database.transaction() as session:
            rows = list((await session.exec(select(SearchLog))).all())
    params = sorted((row.params for row in rows), key=len)
    assert params[0] | {"client": ""} == {
        "query": "thing", "top_k": 4, "alpha": 0.5, "filters": {}, "client": "",
    }  # fmt: skip
    assert params[1].items() >= {"sort": "newest", "group_by": "groupId"}.items()


async def test_the_examples_are_valid(client: httpx.AsyncClient) -> None:
    for example in TEXT_EXAMPLES.values():
        answer = await client.post("/api/search/text", json=example["value"])
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("price_e4", "price"), [(199_900, "19.99"), (123_456, "12.3456"), (0, "0.00"), (1, "0.0001")]
)
def test_prices_have_at_least_two_decimals(price_e4: int, price: str) -> None:
    assert to_price(price_e4) == price
