"""The catalogue over HTTP: PATCH, several pictures, prices, and ids of all kinds."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from settings import Settings
from studio.ports import Studio
from tests.gateway.routes.test_search import ids, product, upload
from tests.support.fakes import FakeEmbedder, picture, sign_in
from tests.support.live import open_live_studio

PATH = "/api/catalog/products/p-1"


@pytest.fixture
async def studio(settings: Settings) -> AsyncIterator[Studio]:
    async with open_live_studio(settings) as opened:
        yield opened


async def open_product(
    client: httpx.AsyncClient, studio: Studio, **fields: Any
) -> tuple[dict[str, str], dict[str, Any]]:
    """A merchant's headers, and the answer of the PUT of p-1."""
    headers = await sign_in(client, studio, "merchant")
    body = product(await upload(client, headers, picture("red")), 0) | fields
    answer = await client.put(PATH, json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    return headers, answer.json()


async def test_a_patch_answers_the_whole_product_and_searches_know_it(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers, before = await open_product(client, studio, description="Warm", sku="S-1")
    body = {"price": "8", "listPrice": "10.50", "description": None, "groupId": "coats"}
    answer = await client.patch(PATH, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    after = answer.json()
    changed = {name for name, value in after.items() if value != before[name]}
    signed = {"image", "images"}  # each answer may sign them anew
    assert changed - signed == {"price", "listPrice", "description", "groupId", "updatedAt"}
    assert (after["price"], after["listPrice"], after["description"]) == ("8.00", "10.50", None)
    assert (after["sku"], after["groupId"]) == ("S-1", "coats")
    found = await client.post("/api/search/text", json={"query": "thing"})
    (result,) = found.json()["results"]
    assert {name: result[name] for name in result.keys() & after.keys() - signed} == {
        name: after[name] for name in result.keys() & after.keys() - signed
    }
    assert {"groupId", "listPrice", "price"} <= result.keys()
    cheap = {"query": "thing", "filters": {"priceMax": "8"}}
    assert await ids(client, "text", cheap) == ["p-1"]
    assert isinstance(studio.embedder, FakeEmbedder) and studio.embedder.images_embedded == 1


async def test_who_may_patch(client: httpx.AsyncClient, studio: Studio) -> None:
    owner, _ = await open_product(client, studio)
    rival, shopper, admin = [
        await sign_in(client, studio, role) for role in ("merchant", "customer", "admin")
    ]
    for headers, status in (({}, 401), (shopper, 403), (rival, 404), (owner, 200), (admin, 200)):
        answer = await client.patch(PATH, json={"inStock": False}, headers=headers)
        assert answer.status_code == status, answer.text
    missing = await client.patch(
        "/api/catalog/products/none", json={"inStock": False}, headers=owner
    )
    assert missing.status_code == 404


async def test_a_patch_is_a_json_merge_patch(client: httpx.AsyncClient, studio: Studio) -> None:
    headers, before = await open_product(client, studio, attributes={"a": 1, "b": ["x"]})
    merge = headers | {"content-type": "application/merge-patch+json"}
    answer = await client.patch(
        PATH, content=b'{"attributes": {"a": null, "c": true}}', headers=merge
    )
    assert answer.status_code == 200 and answer.json()["attributes"] == {"b": ["x"], "c": True}
    empty = await client.patch(PATH, json={}, headers=headers)
    assert empty.status_code == 200 and empty.json()["updatedAt"] == answer.json()["updatedAt"]
    bad: list[tuple[dict[str, Any], str]] = [
        ({"color": "red"}, "/color"),
        ({"title": None}, "/title"),
        ({"price": "a lot"}, "/price"),
        ({"url": "javascript:alert(1)"}, "/url"),
        ({"attributes": {"x" * 65: 1}}, f"/attributes/{'x' * 65}/[key]"),
        ({"images": [{}]}, "/images/0"),
        ({"images": [{"fileId": "x"}]}, "/images/0/fileId"),
    ]
    for body, path in bad:
        refused = await client.patch(PATH, json=body, headers=headers)
        assert refused.status_code == 422, refused.text
        assert [error["path"] for error in refused.json()["errors"]] == [path]
    sale = await client.patch(PATH, json={"listPrice": "1"}, headers=headers)
    assert sale.status_code == 422 and "above price" in sale.json()["detail"]
    unchanged = (await client.get(PATH)).json()
    assert unchanged["updatedAt"] == answer.json()["updatedAt"] > before["updatedAt"]


async def test_the_pictures_of_an_answer_can_be_sent_back(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers, _ = await open_product(client, studio)
    colours = ("red", "blue", "green")
    files = [await upload(client, headers, picture(colour)) for colour in colours]
    body = product(files[0], 0) | {"images": [{"fileId": one} for one in files]}
    del body["fileId"]
    answer = (await client.put(PATH, json=body, headers=headers)).json()
    assert [set(image) for image in answer["images"]] == [{"imageUrl"}] * 3
    assert answer["image"] == answer["images"][0]["imageUrl"]
    for image in answer["images"]:
        shown = await client.get(image["imageUrl"])
        assert shown.status_code == 200 and shown.headers["content-type"] == "image/jpeg"
    backwards = {"images": answer["images"][::-1]}
    turned = (await client.patch(PATH, json=backwards, headers=headers)).json()
    paths = [httpx.URL(image["imageUrl"]).path for image in answer["images"]]
    assert [httpx.URL(image["imageUrl"]).path for image in turned["images"]] == paths[::-1]
    (listed,) = (await client.get("/api/catalog/products")).json()["items"]
    assert [httpx.URL(image["imageUrl"]).path for image in listed["images"]] == paths[::-1]
    found = await client.post("/api/search/image", json={"fileId": files[2]}, headers=headers)
    (result,) = found.json()["results"]
    assert result["score"] == pytest.approx(1, abs=1e-3)
    assert httpx.URL(result["image"]).path == paths[2]


@pytest.mark.parametrize(
    ("price", "currency", "expected"),
    [("20", "EUR", "20.00"), ("1299.00", "JPY", "1299"), ("3.5", "KWD", "3.500")],
)
async def test_prices_have_their_currencys_digits(
    client: httpx.AsyncClient, studio: Studio, price: str, currency: str, expected: str
) -> None:
    _, answer = await open_product(client, studio, price=price, currency=currency)
    assert answer["price"] == expected


@pytest.mark.parametrize("product_id", ["ä b", "a%b?c#d", "日本", "x" * 200, "...", "a+b&c"])
async def test_an_id_is_any_text_that_a_path_can_contain(
    client: httpx.AsyncClient, studio: Studio, product_id: str
) -> None:
    headers, _ = await open_product(client, studio)
    body = product(await upload(client, headers, picture("blue")), 1)
    path = f"/api/catalog/products/{quote(product_id, safe='')}"
    answer = await client.put(path, json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == path and answer.json()["id"] == product_id
    assert (await client.get(path)).json()["id"] == product_id
    assert (await client.patch(path, json={"price": "1"}, headers=headers)).status_code == 200
    assert product_id in await ids(client, "text", {"query": "blue thing"})
    similar = await client.get(f"/api/search/similar/{quote(product_id, safe='')}")
    assert [one["id"] for one in similar.json()["results"]] == ["p-1"]
    assert (await client.delete(path, headers=headers)).status_code == 204


@pytest.mark.parametrize("name", ["a%2Fb", "a/b", "%2E%2E%2Fx", "%20a", "a%20", "a%0Ab", "x" * 201])
async def test_a_bad_id_is_refused_with_the_reason(
    client: httpx.AsyncClient, studio: Studio, name: str
) -> None:
    headers, _ = await open_product(client, studio)
    for method, body in (("PUT", {}), ("PATCH", {"price": "1"}), ("GET", None), ("DELETE", None)):
        answer = await client.request(
            method, f"/api/catalog/products/{name}", json=body, headers=headers
        )
        assert answer.status_code == 422, (method, answer.text)
        assert any(
            error["in"] == "path" and error["detail"].startswith("an id ")
            for error in answer.json()["errors"]
        )
