"""Imports take little memory in the Gateway and the worker, and what is bad in them stays small."""

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from settings import Settings
from studio.catalog import import_job
from studio.catalog.import_job import MAX_ERRORS
from studio.forms import MAX_PRODUCT_ID_CHARS
from studio.ports import Studio
from tests.gateway.routes.test_jobs import dataset
from tests.gateway.routes.test_search import product, upload
from tests.jobs.working import dispatching, events_of, until_state
from tests.support.fakes import picture, sign_in
from tests.support.live import open_live_studio

LINES = {"content-type": "application/x-ndjson"}


@pytest.fixture
async def studio(settings: Settings) -> AsyncIterator[Studio]:
    async with open_live_studio(settings) as opened:
        yield opened


async def finish(studio: Studio, answer: httpx.Response) -> Any:
    assert answer.status_code == 202, answer.text
    async with dispatching(studio):
        return await until_state(studio, UUID(answer.json()["jobId"]))


def refuse_whole_datasets(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are read whole, datasets never."""
    get = studio.blobs.get

    async def get_picture(key: str) -> bytes:
        assert not key.endswith((".csv", ".jsonl")), "the file was read into memory"
        return await get(key)

    monkeypatch.setattr(studio.blobs, "get", get_picture)


async def test_an_import_is_never_read_whole(
    client: httpx.AsyncClient, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = await sign_in(client, studio, "merchant")
    picture_id = await upload(client, headers, picture("red"))
    data = json.dumps(product(picture_id, 0) | {"id": "p-1"}).encode() + b"\n{}\n" * 9
    file_id = await dataset(client, headers, data)
    refuse_whole_datasets(studio, monkeypatch)
    path = "/api/catalog/import"
    by_name = await client.post(path, json={"fileId": file_id}, headers=headers)
    by_body = await client.post(path, content=data, headers=headers | LINES)
    for answer in (by_name, by_body):
        job = await finish(studio, answer)
        assert job.state == "succeeded", job.error
        assert (job.result["imported"], job.result["failed"]) == (1, 9)
        assert (job.progress_done, job.progress_total) == (10, 10)


@pytest.mark.parametrize("count", [300, pytest.param(3050, marks=pytest.mark.proof)])
async def test_a_large_body_goes_to_the_disk_as_it_arrives(
    client: httpx.AsyncClient, studio: Studio, count: int
) -> None:
    headers = await sign_in(client, studio, "merchant") | LINES
    piece = b'{"a":1}\n' * 8192

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(count):
            yield piece

    tracemalloc.start()
    answer = await client.post("/api/catalog/import", content=pieces(), headers=headers)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert answer.status_code == 202, answer.text
    assert peak < 10_000_000
    keys = [key async for key in studio.blobs.list("uploads/imports/")]
    assert len(keys) == 1
    blob = await studio.blobs.head(keys[0])
    assert blob is not None and blob.size == count * len(piece)


async def test_few_bodies_of_one_account_arrive_at_once(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers, other = [await sign_in(client, studio, "merchant") | LINES for _ in range(2)]
    arriving, go_on = [asyncio.Event() for _ in range(2)], asyncio.Event()

    async def slow(place: int) -> AsyncIterator[bytes]:
        arriving[place].set()
        await go_on.wait()
        yield b"{}\n"

    path = "/api/catalog/import"
    uploads = [
        asyncio.create_task(client.post(path, content=slow(place), headers=headers))
        for place in range(2)
    ]
    for one in arriving:
        await one.wait()
    refused = await client.post(path, content=b"{}\n", headers=headers)
    assert refused.status_code == 429 and refused.headers["retry-after"]
    assert (await client.post(path, content=b"{}\n", headers=other)).status_code == 202
    go_on.set()
    assert [(await one).status_code for one in uploads] == [202, 202]
    assert (await client.post(path, content=b"{}\n", headers=headers)).status_code == 202


async def test_one_key_stands_for_the_bytes_of_one_file(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers = await sign_in(client, studio, "merchant") | {"Idempotency-Key": "import-1"} | LINES
    contents = [b"{}\n" * 100_000, b"{}\n" * 100_000, b"{}\n" * 99_999 + b"{]\n"]
    first, again, other = [
        await client.post("/api/catalog/import", content=content, headers=headers)
        for content in contents
    ]
    assert first.json() == again.json() and other.status_code == 409
    assert len([key async for key in studio.blobs.list("uploads/imports/")]) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"fileId": "x"}', 400),
        (b"{}", 400),
        (b"[1]", 400),
        (b'{"title": "One product", "price": "1"}', 202),
        (b'{"title": "' + b"x" * 100_000 + b'"}', 202),
        (b"[" * 100_000, 400),
    ],
)
async def test_a_json_body_names_a_dataset_or_is_one(
    client: httpx.AsyncClient, studio: Studio, body: bytes, status: int
) -> None:
    headers = await sign_in(client, studio, "merchant") | {"content-type": "application/json"}
    answer = await client.post("/api/catalog/import", content=body, headers=headers)
    assert answer.status_code == status, answer.text


async def test_bad_lines_are_counted_and_kept_in_part(
    client: httpx.AsyncClient, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_job, "REPORT_S", 0.0)
    headers = await sign_in(client, studio, "merchant")
    deep = b'{"id": ' + b"[" * 300 + b"]" * 300 + b"}\n"
    strange = json.dumps({"id": "p\0\ud800" + "x" * 5000, "y" * 5000: 1, "title": 1}).encode()
    unknown = json.dumps({f"{at}" * 300: at for at in range(500)}).encode()
    data = deep + b'{"id": [[[1]]]}\n' + strange + b"\n" + unknown + b"\n" + b"{}\n" * 1200
    answer = await client.post("/api/catalog/import", content=data, headers=headers | LINES)
    job = await finish(studio, answer)
    assert job.state == "failed" and "no product was imported of 1,204" in job.error
    assert (job.result["total"], job.result["failed"]) == (1204, 1204)
    errors = job.result["errors"]
    assert [one["line"] for one in errors] == list(range(1, MAX_ERRORS + 1))
    assert [one["id"] for one in errors[:3]] == [
        None,
        None,
        ("p??" + "x" * 5000)[:MAX_PRODUCT_ID_CHARS],
    ]
    assert all(len(one["detail"]) < 600 for one in errors)
    reported = [one for event in await events_of(studio, job.id)
                for one in event.progress.get("errors", ())]  # fmt: skip
    assert len(reported) == MAX_ERRORS
    listed = await client.get("/api/jobs", headers=headers)
    assert listed.status_code == 200 and listed.json()["items"][0]["result"] == job.result
