"""Limits of one account on open jobs and event streams."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import update
from sqlmodel import col

from db.tables import Job, User
from gateway.routes.jobs import events as job_events
from settings import Settings
from studio.jobs.jobs import cancel_job
from studio.jobs.registry import JOB_TYPES
from studio.jobs.watch import EventStream, JobWatch
from studio.ports import Studio
from tests.jobs.working import put_job
from tests.support.fakes import make_settings, open_client, sign_in

Headers = dict[str, str]


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return make_settings(database_url, redis_url, tmp_path / "blobs", limit_cv=2)


async def ask(client: httpx.AsyncClient, headers: Headers, **body: Any) -> httpx.Response:
    return await client.post("/api/jobs", json=body, headers=headers)


async def own_id(client: httpx.AsyncClient, headers: Headers) -> UUID:
    return UUID((await client.get("/api/auth/me", headers=headers)).json()["id"])


async def waiting_job(studio: Studio, owner_id: UUID, kind: str = "note") -> UUID:
    """Inserts a job that is not due yet."""
    later = datetime.now(UTC) + timedelta(days=1)
    return await put_job(studio, kind, owner_id=owner_id, run_at=later)


async def test_a_priority_above_0_is_for_admins(client: httpx.AsyncClient, studio: Studio) -> None:
    merchant = await sign_in(client, studio, "merchant")
    body = {"type": "segment-batch", "payload": {"imageUrls": ["https://example.com/a.png"]}}
    refused = await ask(client, merchant, **body, priority=1)
    assert refused.status_code == 403
    assert refused.json()["detail"] == "a priority above 0 needs the role admin"
    admin = await sign_in(client, studio, "admin")
    assert (await ask(client, admin, type="rebuild-index", priority=100)).status_code == 202


async def test_no_more_open_jobs_than_a_type_allows(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers = await sign_in(client, studio, "admin")
    most = JOB_TYPES["rebuild-index"].max_open
    answers = await asyncio.gather(
        *(ask(client, headers, type="rebuild-index") for _ in range(most + 5))
    )
    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(202), statuses.count(429)) == (most, 5)
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.headers["retry-after"] == "30"
    assert f"{most} open rebuild-index jobs" in refused.json()["detail"]
    assert "try again in 30 s" in refused.json()["detail"]
    accepted = next(answer for answer in answers if answer.status_code == 202).json()["jobId"]
    await client.delete(f"/api/jobs/{accepted}", headers=headers)
    assert (await ask(client, headers, type="rebuild-index")).status_code == 202


async def test_a_retry_needs_room(client: httpx.AsyncClient, studio: Studio) -> None:
    headers = await sign_in(client, studio)
    owner_id = await own_id(client, headers)
    failed = await put_job(studio, "tryon", owner_id=owner_id)
    async with studio.database.transaction() as session:
        await session.exec(update(Job).values(state="failed"))
    for _ in range(JOB_TYPES["tryon"].max_open):
        await waiting_job(studio, owner_id, "tryon")
    answer = await client.post(f"/api/jobs/{failed}/retry", headers=headers)
    assert answer.status_code == 429 and answer.headers["retry-after"] == "30"


@pytest.mark.parametrize(
    ("role", "body"),
    [
        ("customer", {"type": "tryon", "payload": {
            "personUrl": "http://studio.test/a.png", "garmentUrl": "http://studio.test/b.png"}}),
        ("merchant", {"type": "segment-batch", "payload": {"fileIds": [str(uuid4())]}}),
    ],
)  # fmt: skip
async def test_jobs_that_do_the_work_of_cv_routes_count_as_those(
    client: httpx.AsyncClient, studio: Studio, role: str, body: dict[str, Any]
) -> None:
    headers = await sign_in(client, studio, role)
    answers = [await ask(client, headers, **body) for _ in range(3)]
    assert [answer.status_code == 429 for answer in answers] == [False, False, True]
    assert answers[-1].headers["ratelimit-policy"] == '"cv";q=2;w=60'
    assert (await client.get("/api/jobs", headers=headers)).status_code == 200


class Streams:
    """Readers of one account's job; this client gets a response when its stream ends."""

    def __init__(self, client: httpx.AsyncClient, watch: JobWatch) -> None:
        self._client = client
        self._tasks: list[asyncio.Task[httpx.Response]] = []
        self._is_open = asyncio.Event()
        open_stream = watch.open

        def count(account_id: UUID, job_id: UUID, after: int) -> EventStream:
            stream = open_stream(account_id, job_id, after)
            self._is_open.set()
            return stream

        watch.open = count  # type: ignore[method-assign]

    async def open(self, job_id: UUID, headers: Headers) -> "asyncio.Task[httpx.Response]":
        """Requests the stream and waits until it is open, or refused."""
        self._is_open.clear()
        get = self._client.get(f"/api/jobs/{job_id}/events", headers=headers)
        task = asyncio.create_task(get)
        self._tasks.append(task)
        is_open = asyncio.create_task(self._is_open.wait())
        await asyncio.wait({task, is_open}, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        is_open.cancel()
        return task

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture
async def streams(client: httpx.AsyncClient) -> AsyncIterator[Streams]:
    transport: Any = client._transport
    opened = Streams(client, transport.app.state.resources.job_watch)
    yield opened
    await opened.aclose()


async def test_an_account_has_so_many_streams_and_gets_their_places_back(
    client: httpx.AsyncClient, studio: Studio, streams: Streams
) -> None:
    headers = await sign_in(client, studio)
    job_id = await waiting_job(studio, await own_id(client, headers))
    tasks = [await streams.open(job_id, headers) for _ in range(5)]
    assert not any(task.done() for task in tasks)
    refused = await asyncio.wait_for(await streams.open(job_id, headers), 5)
    assert refused.status_code == 429 and int(refused.headers["retry-after"]) > 0
    assert "5 event streams" in refused.json()["detail"]
    tasks[0].cancel()
    await asyncio.wait({tasks[0]})
    again = await streams.open(job_id, headers)
    assert not again.done()
    other = await sign_in(client, studio, "admin")
    assert not (await streams.open(job_id, other)).done(), "another account has its own places"
    await cancel_job(studio.database, job_id)
    answers = await asyncio.wait_for(asyncio.gather(again, *tasks[1:]), 5)
    assert all('"state":"cancelled"' in answer.text for answer in answers)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes streams check their sessions often."""
    monkeypatch.setattr(job_events, "CHECK_S", 0.2)


@pytest.mark.usefixtures("soon")
async def test_a_stream_ends_with_its_session(
    client: httpx.AsyncClient, studio: Studio, streams: Streams
) -> None:
    headers = await sign_in(client, studio)
    job_id = await waiting_job(studio, await own_id(client, headers))
    task = await streams.open(job_id, headers)
    assert not task.done()
    assert (await client.post("/api/auth/logout", headers=headers)).status_code < 300
    answer = await asyncio.wait_for(task, 5)
    assert '"state":"queued"' in answer.text
    assert answer.text.endswith(": the session has ended; sign in again\n\n")


@pytest.mark.usefixtures("soon")
async def test_a_stream_of_anothers_job_ends_with_the_role(
    client: httpx.AsyncClient, studio: Studio, streams: Streams
) -> None:
    owner, admin = await sign_in(client, studio), await sign_in(client, studio, "admin")
    job_id = await waiting_job(studio, await own_id(client, owner))
    own, others = await streams.open(job_id, owner), await streams.open(job_id, admin)
    async with studio.database.transaction() as session:
        values = update(User).where(col(User.role) == "admin").values(role="customer")
        await session.exec(values)
    answer = await asyncio.wait_for(others, 5)
    assert answer.text.endswith(": no such job\n\n")
    assert not own.done()


async def test_a_gateway_has_so_many_streams(studio: Studio) -> None:
    async with open_client(studio) as client:
        headers = await sign_in(client, studio)
        job_id = await waiting_job(studio, await own_id(client, headers))
        watch = client._transport.app.state.resources.job_watch  # type: ignore[attr-defined]
        opened = [watch.open(uuid4(), job_id, 0) for _ in range(500)]
        answer = await client.get(f"/api/jobs/{job_id}/events", headers=headers)
        assert answer.status_code == 503 and int(answer.headers["retry-after"]) > 0
        assert "500 places" in answer.json()["detail"]
        for stream in opened:
            watch.close(stream)
