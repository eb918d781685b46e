"""Search through the gateway, over the real index and the real catalogue."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlmodel import select

from db.tables import SearchLog
from settings import Settings
from studio.ports import Studio
from tests.support.fakes import FakeEmbedder, open_client, picture, sign_in
from tests.support.live import open_live_studio

COLOURS = ("red", "blue", "green", "yellow", "purple", "cyan")


@pytest.fixture
async def studio(settings: Settings) -> AsyncIterator[Studio]:
    async with open_live_studio(settings) as opened:
        yield opened


async def upload(client: httpx.AsyncClient, headers: dict[str, str], data: bytes) -> str:
    body = {
        "filename": "a.jpg", "contentType": "image/jpeg", "sizeBytes": len(data),
        "purpose": "product",
    }  # fmt: skip
    receipt = (await client.post("/api/files/presign", json=body, headers=headers)).json()
    put = await client.put(receipt["url"], content=data, headers=receipt["headers"])
    assert put.status_code < 300, put.text
    done = await client.post(f"/api/files/{receipt['fileId']}/complete", headers=headers)
    assert done.status_code == 200, done.text
    return str(receipt["fileId"])


def product(file_id: str, place: int) -> dict[str, Any]:
    return {
        "title": f"{COLOURS[place]} thing",
        "category": "Dress" if place % 2 else "shirt",
        "brand": "Ärmel" if place < 3 else None,
        "price": f"{10 + place}.50",
        "currency": "EUR",
        "inStock": place != 4,
        "fileId": file_id,
    }


async def fill(client: httpx.AsyncClient, studio: Studio) -> tuple[dict[str, str], list[str]]:
    """Adds six products of one colour each; returns the merchant's headers and the uploads."""
    headers = await sign_in(client, studio, "merchant")
    files = [await upload(client, headers, picture(colour)) for colour in COLOURS]
    for place, file_id in enumerate(files):
        body = product(file_id, place)
        answer = await client.put(f"/api/catalog/products/p{place}", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
    return headers, files


async def ids(client: httpx.AsyncClient, path: str, body: dict[str, Any], **more: Any) -> list[str]:
    answer = await client.post(f"/api/search/{path}", json=body, **more)
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["results"]]


async def test_a_picture_finds_its_product_first_and_the_answer_is_whole(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers, files = await fill(client, studio)
    answer = await client.post(
        "/api/search/image", json={"fileId": files[2], "topK": 3},
        headers=headers | {"X-Request-ID": "test-request-1"},
    )  # fmt: skip
    body = answer.json()
    assert body["requestId"] == "test-request-1"
    assert body["indexVersion"] and body["latencyMs"] > 0
    first = body["results"][0]
    assert first["id"] == "p2" and first["score"] == pytest.approx(1, abs=1e-3)
    assert (first["category"], first["price"], first["currency"]) == ("shirt", "12.50", "EUR")
    assert (first["brand"], first["inStock"]) == ("Ärmel", True)
    assert (await client.get(first["image"])).headers["content-type"] == "image/jpeg"
    assert len(body["results"]) == 3


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"category": "DRESS"}, {"p1", "p3", "p5"}),
        ({"category": ["dress", "Shirt"]}, {f"p{place}" for place in range(6)}),
        ({"brand": "ÄRMEL", "category": "shirt"}, {"p0", "p2"}),
        ({"priceMin": "12.50", "priceMax": 13.5}, {"p2", "p3"}),
        ({"inStock": False}, {"p4"}),
        ({"category": "nothing"}, set()),
    ],
)
async def test_filters_let_pass_exactly_what_they_say(
    client: httpx.AsyncClient, studio: Studio, filters: dict[str, Any], expected: set[str]
) -> None:
    await fill(client, studio)
    results = await ids(client, "text", {"query": "thing", "filters": filters})
    assert set(results) == expected


async def test_alpha_one_and_zero_are_the_pure_searches(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers, files = await fill(client, studio)
    both = {"fileId": files[0], "query": "blue thing"}

    async def results(path: str, body: dict[str, Any]) -> Any:
        answer = await client.post(f"/api/search/{path}", json=body, headers=headers)
        return [(one["id"], one["score"]) for one in answer.json()["results"]]

    assert await results("hybrid", both | {"alpha": 1}) == await results(
        "image", {"fileId": files[0]}
    )
    assert await results("hybrid", both | {"alpha": 0}) == await results(
        "text", {"query": "blue thing"}
    )
    assert len(await results("hybrid", both)) == 6


async def test_equal_scores_are_ordered_by_id(client: httpx.AsyncClient, studio: Studio) -> None:
    headers, files = await fill(client, studio)
    for name in ("z", "a", "m"):
        body = product(files[0], 0)
        await client.put(f"/api/catalog/products/{name}", json=body, headers=headers)
    results = await ids(client, "image", {"fileId": files[0], "topK": 4}, headers=headers)
    assert results == ["a", "m", "p0", "z"]


async def test_similar_leaves_the_product_itself_out(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    await fill(client, studio)
    answer = await client.get("/api/search/similar/p0", params={"topK": 200})
    results = [product["id"] for product in answer.json()["results"]]
    assert "p0" not in results and len(results) == 5
    assert (await client.get("/api/search/similar/nobody")).status_code == 404


async def test_a_repeated_text_query_runs_no_model(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    await fill(client, studio)
    embedder = studio.embedder
    assert isinstance(embedder, FakeEmbedder)
    before = embedder.texts_embedded
    first = await ids(client, "text", {"query": "red  thing"})
    assert await ids(client, "text", {"query": " red thing "}) == first
    assert embedder.texts_embedded == before + 1


async def test_a_change_is_found_and_a_deletion_is_gone(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers, files = await fill(client, studio)
    changed = product(files[5], 0)
    await client.put("/api/catalog/products/p0", json=changed, headers=headers)
    search = {"fileId": files[5], "topK": 2}
    assert await ids(client, "image", search, headers=headers) == ["p0", "p5"]
    assert (await client.delete("/api/catalog/products/p0", headers=headers)).status_code == 204
    assert "p0" not in await ids(client, "image", search, headers=headers)


async def test_pictures_on_sale_are_for_everyone_others_for_their_owner(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers, _ = await fill(client, studio)
    own = await upload(client, headers, picture("orange"))
    for_others = await client.post("/api/search/image", json={"fileId": own})
    assert for_others.status_code == 404
    assert await ids(client, "image", {"fileId": own}, headers=headers)
    image_url = (await client.get("/api/catalog/products/p1")).json()["image"]
    assert (await ids(client, "image", {"imageUrl": image_url}))[0] == "p1"
    assert (await ids(client, "image", {"imageUrl": image_url.split("?")[0]}))[0] == "p1"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("text", {"query": "a", "topK": 0}, 422),
        ("text", {"query": "a", "topK": 10_000}, 422),
        ("text", {"query": "a", "topK": "5"}, 422),
        ("text", {"query": ""}, 422),
        ("text", {"query": "  \n"}, 422),
        ("text", {"query": "a" * 10_000}, 422),
        ("text", {}, 422),
        ("text", {"query": "a", "filters": {"size": "M"}}, 422),
        ("text", {"query": "a", "filters": {"priceMin": 5, "priceMax": 1}}, 422),
        ("text", {"query": "a", "filters": {"inStock": "yes"}}, 422),
        ("text", {"query": "a", "unknown": 1}, 422),
        ("text", {"query": "a\u0000b"}, 422),
        ("hybrid", {"query": "a", "imageUrl": "https://x.example/a.jpg", "alpha": 2}, 422),
        ("hybrid", {"query": "a"}, 422),
        ("image", {}, 422),
        ("image", {"imageUrl": "http://127.0.0.1/a.jpg"}, 422),
        ("image", {"imageUrl": "not a url"}, 422),
        ("image", {"fileId": "7"}, 422),
        ("image", {"fileId": "00000000-0000-4000-8000-000000000000"}, 404),
        ("text", {"query": "👗 فستان أحمر"}, 200),
        ("text", {"query": "a" * 1000, "topK": 200}, 200),
    ],
)
async def test_bad_input_is_told_and_the_next_request_works(
    client: httpx.AsyncClient, studio: Studio, path: str, body: dict[str, Any], status: int
) -> None:
    answer = await client.post(f"/api/search/{path}", json=body)
    assert answer.status_code == status, answer.text
    if status != 200:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["requestId"] == answer.headers["x-request-id"]
    after = await client.post("/api/search/text", json={"query": "red"})
    assert after.status_code == 200


async def test_without_an_active_index_search_says_so(settings: Settings) -> None:
    async with open_live_studio(settings, activate=False) as studio, open_client(studio) as client:
        answer = await client.post("/api/search/text", json={"query": "red"})
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert (await client.get("/api/health")).status_code == 503


async def test_vectors_of_another_embedder_are_never_searched(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    await fill(client, studio)
    studio.embedder._version = "another-embedder"  # type: ignore[attr-defined]
    answer = await client.post("/api/search/text", json={"query": "red"})
    assert answer.status_code == 503 and "another embedder" in answer.json()["detail"]
    assert (await client.get("/api/health/rec")).status_code == 503


async def test_every_search_leaves_its_row(settings: Settings) -> None:
    async with open_live_studio(settings) as studio:
        async with open_client(studio) as client:
            headers, files = await fill(client, studio)
            await ids(client, "text", {"query": "red", "filters": {"category": "dress"}})
            await ids(client, "image", {"fileId": files[0]}, headers=headers)
            image_url = (await client.get("/api/catalog/products/p1")).json()["image"]
            await ids(client, "hybrid", {"imageUrl": image_url, "query": "red", "alpha": 0.25})
            await client.get("/api/search/similar/p0", headers={"X-Request-ID": "row-of-similar"})
        async with studio.database.transaction() as session:
            rows = list((await session.exec(select(SearchLog))).all())
    by_type = {row.type: row for row in rows}
    assert set(by_type) == {"text", "image", "hybrid", "similar"}
    assert by_type["text"].params["filters"] == {"category": ["dress"]}
    assert by_type["image"].user_id is not None and by_type["text"].user_id is None
    assert by_type["similar"].request_id == "row-of-similar"
    assert by_type["hybrid"].params["alpha"] == 0.25
    assert "sig" not in by_type["hybrid"].params["image_url"]
    assert all(row.results and row.latency_ms > 0 and row.index_version for row in rows)
    assert all(isinstance(one, str) for row in rows for one in row.results)  # ids, to stay small
