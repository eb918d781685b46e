"""Limits on what the uploads of one account occupy: places, memory, disk and rows."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from time import time
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import httpx
import pytest
from sqlmodel import select, update

from db.tables import File
from errors import Unavailable
from gateway import arrivals
from integrations.blobs.local import LocalBlobStore
from models.index.shapes import SearchAnswer, SearchQuery
from studio.files import checks as file_checks
from studio.files import picture_memory, uploads
from studio.ports import Studio
from tests.gateway.routes.test_files import JPEG, presign, ready, upload
from tests.support.fakes import (
    FakeEmbedder,
    make_settings,
    open_client,
    open_studio,
    picture,
    sign_in,
)

Headers = dict[str, str]
CSV = {"purpose": "dataset", "contentType": "text/csv"}
TABLE = b"name,value\n" + b"x,1\n" * 700_000


class Reads:
    """Counts the reads of the blob store, and how many of them overlap."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.whole: Counter[str] = Counter()
        self.streams: Counter[str] = Counter()
        self.running = self.most_running = 0
        self.started = asyncio.Event()
        get, stream = LocalBlobStore.get, LocalBlobStore.stream

        async def count_get(store: LocalBlobStore, key: str) -> bytes:
            self.whole[key] += 1
            async with self.counted():
                return await get(store, key)

        async def count_stream(store: LocalBlobStore, key: str) -> AsyncIterator[bytes]:
            self.streams[key] += 1
            async with self.counted():
                async for piece in stream(store, key):
                    yield piece

        monkeypatch.setattr(LocalBlobStore, "get", count_get)
        monkeypatch.setattr(LocalBlobStore, "stream", count_stream)

    @asynccontextmanager
    async def counted(self) -> AsyncIterator[None]:
        self.running += 1
        self.started.set()
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(0.02)
        try:
            yield
        finally:
            self.running -= 1


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


def complete(
    client: httpx.AsyncClient, headers: Headers, file_id: str
) -> "asyncio.Future[httpx.Response]":
    path = f"/api/files/{file_id}/complete"
    return asyncio.ensure_future(client.post(path, headers=headers))


def check_told_to_wait(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0


async def test_a_hundred_completes_of_a_file_are_one_check_in_pieces(
    client: httpx.AsyncClient, studio: Studio, reads: Reads
) -> None:
    headers = await sign_in(client, studio, "merchant")
    file_id = (await upload(client, headers, TABLE, **CSV))["fileId"]
    answers = await asyncio.gather(*(complete(client, headers, file_id) for _ in range(100)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert list(reads.streams.values()) == [1]
    assert not reads.whole
    assert answers[0].json()["sha256"] == sha256(TABLE).hexdigest()


async def test_an_account_has_two_checks_at_once_and_a_short_queue(
    client: httpx.AsyncClient, studio: Studio, reads: Reads
) -> None:
    headers, other = await sign_in(client, studio), await sign_in(client, studio)
    file_ids = [(await upload(client, headers))["fileId"] for _ in range(30)]
    others = (await upload(client, other))["fileId"]
    tasks = [complete(client, headers, file_id) for file_id in file_ids]
    await reads.started.wait()
    assert (await complete(client, other, others)).status_code == 200
    answers = await asyncio.gather(*tasks)
    statuses = Counter(answer.status_code for answer in answers)
    allowed = file_checks.PLACES_PER_ACCOUNT + file_checks.WAITING_PER_ACCOUNT
    assert statuses[200] >= allowed and statuses[429] > 0 and len(statuses) == 2
    for answer in answers:
        if answer.status_code == 429:
            check_told_to_wait(answer, 429)
    assert reads.most_running <= file_checks.PLACES_PER_ACCOUNT + 1


async def test_a_gateway_has_four_checks_at_once_and_a_queue_that_ends(
    client: httpx.AsyncClient, studio: Studio, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_checks, "WAITING", 2)
    async with open_client(studio) as client:
        accounts = [await sign_in(client, studio) for _ in range(8)]
        files = [(headers, (await upload(client, headers))["fileId"]) for headers in accounts]
        answers = await asyncio.gather(*(complete(client, *each) for each in files))
        assert reads.most_running == file_checks.PLACES
        busy = [answer for answer in answers if answer.status_code != 200]
        assert len(busy) == 2
        for answer in busy:
            check_told_to_wait(answer, 503)


async def test_a_file_that_failed_is_gone_and_fails_again_without_work(
    client: httpx.AsyncClient, studio: Studio, reads: Reads
) -> None:
    headers = await sign_in(client, studio)
    receipt = await upload(client, headers, JPEG[:-40])
    path = f"/api/files/{receipt['fileId']}"
    first = await complete(client, headers, receipt["fileId"])
    assert first.status_code == 422
    assert (await client.get(path, headers=headers)).json()["status"] == "failed"
    again = await complete(client, headers, receipt["fileId"])
    assert (again.status_code, again.json()["detail"]) == (422, first.json()["detail"])
    assert list(reads.whole.values()) == [1]
    assert [key async for key in studio.blobs.list("")] == []
    late = await client.put(receipt["url"], content=JPEG[:-40], headers=receipt["headers"])
    assert late.status_code == 409
    assert [key async for key in studio.blobs.list("")] == []
    assert (await client.delete(path, headers=headers)).status_code == 204
    assert (await ready(client, headers))["status"] == "ready"


async def test_only_one_of_two_gateways_checks_a_file(
    client: httpx.AsyncClient, studio: Studio, reads: Reads
) -> None:
    headers = await sign_in(client, studio)
    async with open_client(studio) as second:
        for _ in range(5):
            receipt = await upload(client, headers)
            answers = await asyncio.gather(
                *(complete(each, headers, receipt["fileId"]) for each in (client, second))
            )
            assert {answer.status_code for answer in answers} <= {200, 503}
            for answer in answers:
                if answer.status_code == 503:
                    check_told_to_wait(answer, 503)
            assert (await complete(second, headers, receipt["fileId"])).status_code == 200
    assert set(reads.whole.values()) == {1} and len(reads.whole) == 5


async def test_a_gateway_that_died_holds_no_file(client: httpx.AsyncClient, studio: Studio) -> None:
    headers = await sign_in(client, studio)
    receipt = await upload(client, headers)
    now = datetime.now(UTC)
    for ends_at, status in ((now + timedelta(minutes=1), 503), (now - timedelta(seconds=1), 200)):
        async with studio.database.transaction() as session:
            await session.exec(update(File).values(check_ends_at=ends_at))
        assert (await complete(client, headers, receipt["fileId"])).status_code == status


async def test_a_gateway_that_ends_gives_its_files_back(
    client: httpx.AsyncClient, studio: Studio, reads: Reads
) -> None:
    headers = await sign_in(client, studio)
    receipt = await upload(client, headers)
    async with open_client(studio) as ending:
        hanging_up = complete(ending, headers, receipt["fileId"])
        await reads.started.wait()
        hanging_up.cancel()
    async with studio.database.transaction() as session:
        file = (await session.exec(select(File))).one()
        assert (file.status, file.check_ends_at) in (("pending", None), ("ready", None))
    assert (await complete(client, headers, receipt["fileId"])).status_code == 200


async def test_a_store_that_is_away_fails_no_file(
    client: httpx.AsyncClient, studio: Studio, tmp_path: Path
) -> None:
    headers = await sign_in(client, studio)
    receipt = await upload(client, headers)
    (tmp_path / "blobs").rename(tmp_path / "aside")
    check_told_to_wait(await complete(client, headers, receipt["fileId"]), 503)
    (tmp_path / "aside").rename(tmp_path / "blobs")
    assert (await complete(client, headers, receipt["fileId"])).status_code == 200


async def test_datasets_are_for_merchants(client: httpx.AsyncClient, studio: Studio) -> None:
    for role, status in (("customer", 403), ("merchant", 201), ("admin", 201)):
        headers = await sign_in(client, studio, role)
        assert (await presign(client, headers, **CSV)).status_code == status


@asynccontextmanager
async def opened(
    database_url: str, redis_url: str, folder: Path, **changes: Any
) -> AsyncIterator[tuple[Studio, httpx.AsyncClient]]:
    settings = make_settings(database_url, redis_url, folder, **changes)
    async with open_studio(settings) as studio, open_client(studio) as client:
        yield studio, client


async def test_presigns_at_once_stay_within_the_quota(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with opened(database_url, redis_url, tmp_path, quota_mb=1) as (studio, client):
        headers, other = await sign_in(client, studio), await sign_in(client, studio)
        answers = await asyncio.gather(
            *(presign(client, headers, sizeBytes=100_000) for _ in range(20))
        )
        assert Counter(answer.status_code for answer in answers) == {201: 10, 413: 10}
        refused = next(answer for answer in answers if answer.status_code == 413)
        assert "delete some uploads" in refused.json()["detail"]
        assert (await presign(client, other, sizeBytes=100_000)).status_code == 201
        first = next(answer.json() for answer in answers if answer.status_code == 201)
        await client.delete(f"/api/files/{first['fileId']}", headers=headers)
        assert (await presign(client, headers, sizeBytes=100_000)).status_code == 201


async def test_ready_files_count_and_failed_ones_do_not(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with opened(database_url, redis_url, tmp_path, quota_mb=1) as (studio, client):
        headers = await sign_in(client, studio)
        done = await ready(client, headers, picture(size=(64, 64)) + b"\x00" * 400_000)
        assert done["status"] == "ready"
        receipt = await upload(client, headers, b"no picture" * 50_000)
        assert (await presign(client, headers, sizeBytes=200_000)).status_code == 413
        assert (await complete(client, headers, receipt["fileId"])).status_code == 415
        assert (await presign(client, headers, sizeBytes=500_000)).status_code == 201
        assert (await presign(client, headers, sizeBytes=500_000)).status_code == 413


async def test_an_account_has_a_hundred_unfinished_uploads(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers = await sign_in(client, studio)
    answers = []
    for _ in range(7):  # more at once would wait for each other too long
        answers += await asyncio.gather(*(presign(client, headers) for _ in range(15)))
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses == {201: uploads.MAX_PENDING, 429: 5}
    check_told_to_wait(await presign(client, headers), 429)
    pending = next(answer.json()["fileId"] for answer in answers if answer.status_code == 201)
    await client.delete(f"/api/files/{pending}", headers=headers)
    assert (await presign(client, headers)).status_code == 201


async def test_an_account_keeps_the_newest_of_its_failures(
    client: httpx.AsyncClient, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_FAILED", 2)
    headers = await sign_in(client, studio)
    file_ids = []
    for _ in range(4):
        file_ids.append((await upload(client, headers, b"no picture"))["fileId"])
        assert (await complete(client, headers, file_ids[-1])).status_code == 415
    await presign(client, headers)
    async with studio.database.transaction() as session:
        rows = await session.exec(select(File.id).where(File.status == "failed"))
        assert set(rows.all()) == {UUID(file_id) for file_id in file_ids[-2:]}


async def test_a_disk_that_is_nearly_full_takes_nothing(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "blobs"
    full = opened(database_url, redis_url, folder, disk_floor_mb=10**9)
    async with opened(database_url, redis_url, folder) as (studio, client):
        headers = await sign_in(client, studio)
        receipt = (await presign(client, headers)).json()
        async with full as (_, refusing):
            check_told_to_wait(await presign(refusing, headers), 503)
            put = await refusing.put(receipt["url"], content=JPEG, headers=receipt["headers"])
            check_told_to_wait(put, 503)
            delete = await refusing.delete(f"/api/files/{receipt['fileId']}", headers=headers)
            assert delete.status_code == 204
        assert [key async for key in studio.blobs.list("")] == []


class Slow:
    """A body whose second half is sent on demand; counts the pieces that were read."""

    def __init__(self) -> None:
        self.started, self.end = asyncio.Event(), asyncio.Event()
        self.pieces = 0

    async def __call__(self) -> AsyncIterator[bytes]:
        for half in (JPEG[:10], JPEG[10:]):
            self.pieces += 1
            self.started.set()
            yield half
            await self.end.wait()


def put(
    client: httpx.AsyncClient, receipt: dict[str, Any], body: Callable[[], AsyncIterator[bytes]]
) -> "asyncio.Task[httpx.Response]":
    sending = client.put(receipt["url"], content=body(), headers=receipt["headers"])
    return asyncio.create_task(sending)


async def test_an_account_has_a_few_uploads_at_once_and_one_of_a_blob(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers, other = await sign_in(client, studio), await sign_in(client, studio)
    receipts = [
        (await presign(client, headers)).json() for _ in range(arrivals.PLACES_PER_ACCOUNT + 1)
    ]
    bodies = [Slow() for _ in receipts[1:]]
    tasks = [put(client, *each) for each in zip(receipts[1:], bodies, strict=True)]
    await asyncio.gather(*(body.started.wait() for body in bodies))
    twin = Slow()
    assert (await put(client, receipts[1], twin)).status_code == 409
    check_told_to_wait(await put(client, receipts[0], twin), 429)
    assert twin.pieces == 0  # neither was read
    await upload(client, other)
    for body in bodies:
        body.end.set()
    assert {task.status_code for task in await asyncio.gather(*tasks)} == {201}
    again = Slow()
    assert (await put(client, receipts[1], again)).status_code == 409
    assert again.pieces == 0
    last = Slow()
    last.end.set()
    assert (await put(client, receipts[0], last)).status_code == 201


async def test_a_gateway_has_so_many_uploads_at_once(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "PLACES", 1)
    async with open_client(studio) as client:
        accounts = [await sign_in(client, studio) for _ in range(2)]
        receipts = [(await presign(client, headers)).json() for headers in accounts]
        body = Slow()
        task = put(client, receipts[0], body)
        await body.started.wait()
        check_told_to_wait(await put(client, receipts[1], Slow()), 503)
        body.end.set()
        assert (await task).status_code == 201


async def test_an_upload_that_only_holds_a_place_ends(
    client: httpx.AsyncClient, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "GRACE_S", -1.0)
    headers = await sign_in(client, studio)
    receipt = (await presign(client, headers)).json()
    slow = await client.put(receipt["url"], content=JPEG, headers=receipt["headers"])
    assert slow.status_code == 408
    assert slow.headers["content-type"] == "application/problem+json"
    monkeypatch.undo()
    put_again = await client.put(receipt["url"], content=JPEG, headers=receipt["headers"])
    assert put_again.status_code == 201


async def test_puts_count_against_the_address(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with opened(database_url, redis_url, tmp_path, limit_default=3) as (studio, client):
        headers = await sign_in(client, studio)
        receipt = (await presign(client, headers)).json()
        wrong = {"Content-Type": "text/html"}
        for _ in range(3):
            assert (await client.put(receipt["url"], headers=wrong)).status_code == 415
        check_told_to_wait(await client.put(receipt["url"], headers=receipt["headers"]), 429)


class SlowEmbedder(FakeEmbedder):
    """Holds every picture until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting, self.most_waiting = 0, 0
        self.end = asyncio.Event()

    async def search(self, query: SearchQuery) -> SearchAnswer:
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        await self.end.wait()
        raise Unavailable("let go")


async def test_searches_by_picture_hold_a_bounded_part_of_the_memory(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture_memory, "MAX_BYTES", 15 * len(JPEG))
    monkeypatch.setattr(picture_memory, "MAX_BYTES_PER_OWNER", 10 * len(JPEG))
    embedder = SlowEmbedder()
    async with open_client(replace(studio, embedder=embedder)) as client:
        accounts = [await sign_in(client, studio) for _ in range(2)]
        files = [(headers, (await ready(client, headers))["fileId"]) for headers in accounts]
        tasks = [
            asyncio.ensure_future(
                client.post("/api/search/image", json={"fileId": file_id}, headers=headers)
            )
            for headers, file_id in files
            for _ in range(20)
        ]
        statuses: Counter[int] = Counter()
        for answer in asyncio.as_completed(tasks):
            status = (await answer).status_code
            statuses[status] += 1
            if statuses.total() == 25:  # all that are refused
                assert embedder.most_waiting == 15
                assert set(statuses) == {429, 503}
                embedder.end.set()
        assert statuses.total() == 40
        again = client.post("/api/search/image", json={"fileId": files[0][1]}, headers=files[0][0])
        assert (await again).json()["detail"] == "let go"


def end_of(url: str) -> int:
    return int(parse_qs(urlsplit(url).query)["exp"][0])


async def test_read_urls_live_15_to_20_minutes(
    client: httpx.AsyncClient, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This includes the URL of a receipt that is repeated later under its Idempotency-Key."""
    headers = await sign_in(client, studio)
    file = await ready(client, headers)
    keyed = headers | {"Idempotency-Key": "once"}
    first = (await presign(client, keyed)).json()
    for url in (file["readUrl"], first["fileUrl"]):
        assert 899 <= end_of(url) - time() <= 1200
    monkeypatch.setattr("integrations.blobs.keys.time", lambda: time() + 800)
    again = (await presign(client, keyed)).json()
    assert again["url"] == first["url"]
    assert 899 <= end_of(again["fileUrl"]) - (time() + 800) <= 1200
