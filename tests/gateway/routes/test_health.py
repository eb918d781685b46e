"""The health routes."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from errors import Unavailable
from gateway.app import create_app
from studio.ports import Studio
from studio.telemetry import health
from studio.telemetry.health import OLDEST_RESULT_S, TIMEOUT_S, HealthWatch
from tests.support.fakes import (
    FakeDispatcher,
    FakeEmbedder,
    FakeIndex,
    make_settings,
    open_client,
    open_studio,
    running,
)

SERVICES = {"rec", "seg", "vto", "reg", "jobs", "db", "cache", "blob"}


@pytest.fixture
async def searchable(studio: Studio) -> FakeIndex:
    """The studio's index, with one product in it."""
    index, embedder = studio.index, studio.embedder
    assert isinstance(index, FakeIndex)
    assert isinstance(embedder, FakeEmbedder)
    index.put("p1", (await embedder.embed_text("a dress")).vector)
    return index


async def test_a_searchable_studio(client: httpx.AsyncClient, searchable: FakeIndex) -> None:
    answer = await client.get("/api/health")
    assert answer.status_code == 200
    body = answer.json()
    assert set(body["services"]) == SERVICES
    assert {part["status"] for part in body["services"].values()} == {"ok"}
    assert body["status"] == "ok"
    for name in SERVICES:
        part = await client.get(f"/api/health/{name}")
        assert part.status_code == 200
        assert part.json()["latencyMs"] >= 0
    assert (await client.get("/api/health/nothing")).status_code == 404


async def test_without_a_catalogue_it_is_down(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/health")
    assert answer.status_code == 503
    assert answer.json()["status"] == "down"
    assert answer.json()["services"]["rec"]["detail"] == "the catalogue is empty"
    assert answer.headers["retry-after"]
    assert (await client.get("/api/health/live")).status_code == 200


async def test_without_an_embedder_or_an_index_it_is_down(
    client: httpx.AsyncClient, studio: Studio, searchable: FakeIndex, uncached: None
) -> None:
    assert isinstance(studio.embedder, FakeEmbedder)
    studio.embedder.failure = Unavailable("the embedder is starting")
    assert (await client.get("/api/health")).status_code == 503
    studio.embedder.failure = None
    searchable.version = None
    assert (await client.get("/api/health")).status_code == 503
    searchable.version = "v2"
    assert (await client.get("/api/health")).status_code == 200


async def test_a_gateway_is_ready_while_it_can_answer_searches(
    client: httpx.AsyncClient, studio: Studio, searchable: FakeIndex, uncached: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    async def away(*_: object) -> Any:
        raise Unavailable("Index is starting or down")

    async def is_ready() -> bool:
        answer = await client.get("/api/health/ready")
        if answer.status_code == 200:
            assert answer.json() == {"status": "ok"}
            return True
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.status_code == 503 and int(answer.headers["retry-after"]) > 0
        assert "searches can't be answered" in answer.json()["detail"]
        return False

    assert await is_ready()
    for part, call in ((studio.index, "status"), (studio.embedder, "version")):
        with monkeypatch.context() as patch:
            patch.setattr(part, call, away)
            assert not await is_ready()
        assert await is_ready()
    with monkeypatch.context() as patch:
        patch.setattr(studio.database, "check", away)
        assert not await is_ready()
    searchable.version = None
    assert not await is_ready()
    searchable.version = "v2"
    vector = (await studio.embedder.embed_text("a dress")).vector
    searchable.clear()  # the first products come through this Gateway
    assert (await client.get("/api/health")).status_code == 503
    assert await is_ready()
    searchable.put("p1", vector)
    monkeypatch.setattr(studio.segmenter, "version", away)
    monkeypatch.setattr(studio.blobs, "check", away)
    assert (await client.get("/api/health")).json()["status"] == "degraded"
    assert await is_ready()  # searches need neither of them


async def test_a_gateway_that_is_stopping_is_not_ready(
    studio: Studio, searchable: FakeIndex
) -> None:
    app = create_app(studio)
    transport = httpx.ASGITransport(app=app)
    base = studio.settings.base_url
    async with running(app), httpx.AsyncClient(transport=transport, base_url=base) as client:
        assert (await client.get("/api/health/ready")).status_code == 200
        app.state.resources.draining.set()
        answer = await client.get("/api/health/ready")
        assert answer.status_code == 503 and "stopping" in answer.json()["detail"]
        assert (await client.get("/api/health/live")).status_code == 200


@pytest.fixture
def uncached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disables the caching of health."""
    monkeypatch.setattr(health, "FRESH_S", 0.0)


@pytest.mark.parametrize(
    "ill",
    [
        {"silentS": 60.0},
        {"overdue": 1},
        {"backlog": {"import-catalog": {"due": 3, "queued": 3, "oldest_s": 100.0}}},
    ],
)
async def test_jobs_that_nobody_would_do_are_told(
    client: httpx.AsyncClient, studio: Studio, searchable: FakeIndex, ill: dict[str, object]
) -> None:
    assert isinstance(studio.dispatcher, FakeDispatcher)
    studio.dispatcher.state |= ill
    assert (await client.get("/api/health/jobs")).status_code == 503
    assert (await client.get("/api/health")).json()["status"] == "degraded"


async def test_a_warning_of_the_dispatcher_is_degraded(
    client: httpx.AsyncClient, studio: Studio, searchable: FakeIndex
) -> None:
    assert isinstance(studio.dispatcher, FakeDispatcher)
    studio.dispatcher.state |= {"warnings": ["a rebuild failed"]}
    part = await client.get("/api/health/jobs")
    assert (part.status_code, part.json()["status"]) == (200, "degraded")
    assert part.json()["detail"] == "a rebuild failed"
    assert (await client.get("/api/health")).json()["status"] == "degraded"


async def test_lost_servers(redis_url: str, database_url: str, tmp_path: Path) -> None:
    settings = make_settings(
        "postgresql://nobody:x@127.0.0.1:1/none", "redis://127.0.0.1:1/0", tmp_path / "blobs"
    )
    async with open_studio(settings) as studio, open_client(studio) as client:
        answer = await client.get("/api/health")
        assert answer.status_code == 503
        services = answer.json()["services"]
        assert services["db"]["status"] == services["cache"]["status"] == "down"
        assert services["blob"]["status"] == "ok"
        assert "127.0.0.1" not in answer.text
        assert (await client.get("/api/health/live")).status_code == 200
        lost = await client.get("/api/auth/me", headers={"Authorization": "Bearer x"})
        assert lost.status_code == 401


async def test_a_read_only_database_is_degraded_and_search_goes_on(
    client: httpx.AsyncClient, studio: Studio, searchable: FakeIndex, uncached: None
) -> None:
    async with studio.database.transaction() as session:
        name = (await session.exec(text("SELECT current_database()"))).scalar_one()  # type: ignore[call-overload]
        switch = text(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        await session.exec(switch)  # type: ignore[call-overload]
    await studio.database._engine.dispose()  # as after a failover: every session is a new one
    part = await client.get("/api/health/db")
    assert (part.status_code, part.json()["status"]) == (200, "degraded")
    assert "takes no changes" in part.json()["detail"]
    assert (await client.get("/api/health")).json()["status"] == "degraded"
    body = {"email": "x@example.com", "password": "a long enough password"}
    refused = await client.post("/api/auth/register", json=body)
    assert refused.status_code == 503 and int(refused.headers["retry-after"]) > 0
    assert "takes no changes right now" in refused.json()["detail"]
    answer = await client.post("/api/search/text", json={"query": "anything"})
    assert answer.status_code == 200
    async with studio.database.transaction() as session:  # or the log retries for ten seconds
        await session.exec(text("SET TRANSACTION READ WRITE"))  # type: ignore[call-overload]
        await session.exec(text(f"ALTER DATABASE {name} RESET ALL"))  # type: ignore[call-overload]


class SlowStatus:
    """An index whose status takes some turns of the event loop and counts its calls."""

    def __init__(self, index: FakeIndex, turns: int) -> None:
        self.index, self.turns, self.calls = index, turns, 0
        self._answer = index.status

    async def __call__(self) -> Mapping[str, object]:
        """Returns the index's own status."""
        self.calls += 1
        for _ in range(self.turns):
            await asyncio.sleep(0)
        return await self._answer()


class CountedStatus:
    """Counts the calls of a function."""

    def __init__(self, answer: Callable[[], Awaitable[Any]]) -> None:
        self.calls = 0
        self._answer = answer

    async def __call__(self) -> Any:
        """Calls the function."""
        self.calls += 1
        return await self._answer()


@pytest.fixture
async def slow_status(searchable: FakeIndex, monkeypatch: pytest.MonkeyPatch) -> SlowStatus:
    slow = SlowStatus(searchable, turns=3)
    monkeypatch.setattr(searchable, "status", slow)
    return slow


async def test_all_who_ask_at_once_share_one_check(
    client: httpx.AsyncClient, slow_status: SlowStatus
) -> None:
    answers = await asyncio.gather(*(client.get("/api/health") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert slow_status.calls == 1


async def test_whoever_asks_again_and_again_costs_one_check_a_second(
    client: httpx.AsyncClient, studio: Studio, slow_status: SlowStatus,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Single services are cached as well, because these routes have no rate limit."""
    dispatcher = CountedStatus(studio.dispatcher.status)
    monkeypatch.setattr(studio.dispatcher, "status", dispatcher)
    writes = CountedStatus(studio.blobs.check)
    monkeypatch.setattr(studio.blobs, "check", writes)
    monkeypatch.setattr(health, "FRESH_S", 60.0)
    for name in ("jobs", "blob", "db", "rec", "cache"):
        for _ in range(20):
            assert (await client.get(f"/api/health/{name}")).status_code == 200
    assert (await client.get("/api/health")).status_code == 200
    assert (dispatcher.calls, writes.calls, slow_status.calls) == (1, 1, 1)
    monkeypatch.setattr(health, "FRESH_S", 0.0)
    slow_status.index.clear()
    assert (await client.get("/api/health")).status_code == 503  # a change shows a second later
    assert slow_status.calls == 2


# Slow: checks run into their time limit twice.
async def test_a_process_that_is_behind_calls_nobody_down(
    studio: Studio, slow_status: SlowStatus, monkeypatch: pytest.MonkeyPatch, uncached: None
) -> None:
    watch = HealthWatch(studio)
    slow_status.turns = 100
    assert (await watch.check()).status == "ok"
    busy = True

    async def keep_busy() -> None:
        while busy:
            time.sleep(0.3)  # noqa: ASYNC251 - this is what is tested
            await asyncio.sleep(0)

    task = asyncio.create_task(keep_busy())
    assert (await asyncio.wait_for(watch.check(), TIMEOUT_S)).status == "ok"
    await asyncio.sleep(TIMEOUT_S)  # the check that went on ran out of time: nobody was told
    assert (await watch.check()).status == "ok"
    monkeypatch.setattr("studio.telemetry.health.OLDEST_RESULT_S", -OLDEST_RESULT_S)
    late = await watch.check()  # with nothing to remember, what was found is told
    assert late.services["rec"].detail == f"no answer within {TIMEOUT_S:g} s"
    busy = False
    await task
    assert (await watch.check()).status == "ok"
