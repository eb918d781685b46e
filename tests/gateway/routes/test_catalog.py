"""The catalogue: who may write what, what is refused, and imports line by line."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from errors import Unavailable
from settings import Settings
from studio.ports import Studio
from tests.gateway.routes.test_search import ids, product, upload
from tests.jobs.working import dispatching
from tests.support.fakes import FakeEmbedder, picture, sign_in
from tests.support.live import open_live_studio


@pytest.fixture
async def studio(settings: Settings) -> AsyncIterator[Studio]:
    async with open_live_studio(settings) as opened, dispatching(opened):
        yield opened


async def test_a_product_is_written_read_replaced_and_listed(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers = await sign_in(client, studio, "merchant")
    file_id = await upload(client, headers, picture("red"))
    body = product(file_id, 0) | {"attributes": {"size": ["S", "M"]}, "description": "nice"}
    created = await client.put("/api/catalog/products/my-1", json=body, headers=headers)
    assert created.status_code == 201
    assert created.headers["location"] == "/api/catalog/products/my-1"
    read = (await client.get("/api/catalog/products/my-1")).json()
    for name in ("title", "category", "brand", "price", "currency", "inStock", "attributes"):
        assert read[name] == body[name], name
    replaced = await client.put(
        "/api/catalog/products/my-1", json=product(file_id, 1), headers=headers
    )
    assert replaced.status_code == 200
    assert replaced.json()["description"] is None and replaced.json()["attributes"] == {}
    assert replaced.json()["createdAt"] == read["createdAt"]
    assert replaced.json()["updatedAt"] > read["updatedAt"]
    for place in range(5):
        await client.put(
            f"/api/catalog/products/more-{place}", json=product(file_id, 2), headers=headers
        )
    listed: list[str] = []
    cursor: str | None = None
    while True:
        page = (
            await client.get(
                "/api/catalog/products",
                params={"limit": 2} | ({"cursor": cursor} if cursor else {}),
            )
        ).json()
        listed += [one["id"] for one in page["items"]]
        if (cursor := page["nextCursor"]) is None:
            break
    assert listed == [f"more-{place}" for place in (4, 3, 2, 1, 0)] + ["my-1"]


async def test_only_merchants_write_and_only_their_own(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    merchant, rival, shopper, admin = [
        await sign_in(client, studio, role)
        for role in ("merchant", "merchant", "customer", "admin")
    ]
    file_id = await upload(client, merchant, picture("red"))
    path, body = "/api/catalog/products/mine", product(file_id, 0)
    assert (await client.put(path, json=body)).status_code == 401
    assert (await client.put(path, json=body, headers=shopper)).status_code == 403
    assert (await client.put(path, json=body, headers=rival)).status_code == 404  # not their file
    assert (await client.put(path, json=body, headers=merchant)).status_code == 201
    assert (await client.put(path, json=body, headers=rival)).status_code == 404
    assert (await client.delete(path, headers=rival)).status_code == 404
    assert (await client.put(path, json=body, headers=admin)).status_code == 200
    assert (await client.delete(path, headers=merchant)).status_code == 204
    assert (await client.delete(path, headers=merchant)).status_code == 404
    assert (await client.get(path)).status_code == 404
    again = await client.put(path, json=body, headers=merchant)
    assert again.status_code == 201


@pytest.mark.parametrize(
    "change",
    [
        {"price": "-1"}, {"price": "NaN"}, {"price": "1e20"}, {"price": "1.23456"},
        {"price": None}, {"currency": "eur"}, {"currency": "EURO"}, {"title": ""},
        {"title": " "}, {"title": "x" * 501}, {"category": ""}, {"unknown": 1},
        {"imageUrl": "https://x.example/y.jpg"}, {"fileId": None}, {"attributes": []},
        {"title": "a\u0000"}, {"inStock": "maybe"},
    ],
)  # fmt: skip
async def test_a_bad_product_is_refused_whole(
    client: httpx.AsyncClient, studio: Studio, change: dict[str, Any]
) -> None:
    headers = await sign_in(client, studio, "merchant")
    file_id = await upload(client, headers, picture("red"))
    answer = await client.put(
        "/api/catalog/products/bad", json=product(file_id, 0) | change, headers=headers
    )
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"]
    assert (await client.get("/api/catalog/products/bad")).status_code == 404


async def test_nothing_is_written_while_the_embedder_is_down(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers = await sign_in(client, studio, "merchant")
    file_id = await upload(client, headers, picture("red"))
    assert isinstance(studio.embedder, FakeEmbedder)
    studio.embedder.failure = Unavailable("Embedder is down")
    path = "/api/catalog/products/later"
    answer = await client.put(path, json=product(file_id, 0), headers=headers)
    assert answer.status_code == 503 and "retry-after" in answer.headers
    assert (await client.get(path)).status_code == 404
    studio.embedder.failure = None
    retried = await client.put(path, json=product(file_id, 0), headers=headers)
    assert retried.status_code == 201


async def finished(
    client: httpx.AsyncClient, headers: dict[str, str], answer: httpx.Response
) -> Any:
    assert answer.status_code == 202, answer.text
    for _ in range(200):
        job = await client.get(f"/api/jobs/{answer.json()['jobId']}", headers=headers)
        if job.json()["state"] not in {"queued", "running"}:
            return job.json()
        await asyncio.sleep(0.05)
    raise AssertionError("the import does not end")


async def test_an_import_of_csv_lands_good_lines_and_names_bad_ones(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers = await sign_in(client, studio, "merchant")
    file_id = await upload(client, headers, picture("red"))
    rows = [
        "id,title,category,price,currency,inStock,fileId,attributes",
        f'c-1,"A, quoted",dress,10.00,EUR,true,{file_id},"{{""size"": ""M""}}"',
        f"c-2,Cheap,dress,-3,EUR,true,{file_id},",
        f",No id,dress,3,EUR,false,{file_id},",
        "c-4,No picture,dress,3,EUR,true,,",
        f"c-5,Too,many,columns,3,EUR,true,{file_id},,",
    ]
    answer = await client.post(
        "/api/catalog/import", content="\n".join(rows).encode(),
        headers=headers | {"content-type": "text/csv"},
    )  # fmt: skip
    job = await finished(client, headers, answer)
    assert job["state"] == "succeeded" and job["type"] == "import-catalog"
    assert job["progress"]["done"] == job["progress"]["total"] == 5
    assert (job["result"]["imported"], job["result"]["failed"]) == (2, 3)
    details = {error["line"]: error["detail"] for error in job["result"]["errors"]}
    assert set(details) == {3, 5, 6}
    assert "price" in details[3] and "imageUrl or fileId" in details[5]
    assert "columns" in details[6]
    assert (await client.get("/api/catalog/products/c-1")).json()["attributes"] == {"size": "M"}
    assert len(await ids(client, "text", {"query": "dress"})) == 2


async def test_an_import_of_json_lines_by_upload_and_under_one_key(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers = await sign_in(client, studio, "merchant")
    file_id = await upload(client, headers, picture("red"))
    lines = [json.dumps(product(file_id, 0) | {"id": f"j-{place}"}) for place in range(3)]
    data = "\n".join([*lines, "{broken", "[1]"]).encode()
    body = {
        "filename": "a.jsonl", "contentType": "application/x-ndjson", "sizeBytes": len(data),
        "purpose": "dataset",
    }  # fmt: skip
    receipt = (await client.post("/api/files/presign", json=body, headers=headers)).json()
    await client.put(receipt["url"], content=data, headers=receipt["headers"])
    done = await client.post(f"/api/files/{receipt['fileId']}/complete", headers=headers)
    assert done.status_code == 200, done.text
    key = headers | {"Idempotency-Key": "import-1"}
    dataset = {"fileId": receipt["fileId"]}
    first = await client.post("/api/catalog/import", json=dataset, headers=key)
    again = await client.post("/api/catalog/import", json=dataset, headers=key)
    assert first.json() == again.json()
    job = await finished(client, headers, first)
    assert (job["result"]["imported"], job["result"]["failed"]) == (3, 2)
    other = await client.post(
        "/api/catalog/import", content=lines[0].encode(),
        headers=key | {"content-type": "application/x-ndjson"},
    )  # fmt: skip
    assert other.status_code == 409
    stranger = await sign_in(client, studio, "merchant")
    assert (
        await client.get(f"/api/jobs/{first.json()['jobId']}", headers=stranger)
    ).status_code == 404
    listed = (await client.get("/api/jobs", headers=headers)).json()["items"]
    assert [one["id"] for one in listed] == [first.json()["jobId"]]


@pytest.mark.parametrize("content", [b"", b"  \n", b"\xff\xfe\x00"])
async def test_an_import_of_nothing_is_refused_at_once(
    client: httpx.AsyncClient, studio: Studio, content: bytes
) -> None:
    headers = await sign_in(client, studio, "merchant")
    answer = await client.post(
        "/api/catalog/import", content=content, headers=headers | {"content-type": "text/csv"}
    )
    assert answer.status_code == 422
