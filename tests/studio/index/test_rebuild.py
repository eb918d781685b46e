"""Rebuilds: one for a version with too many changes; a killed build leaves nothing behind."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import col, func, select, update

from db.engine import AsyncSession, Database
from db.tables import IndexVersion, Job
from errors import Conflict, NotFound, Superseded
from models.index.catalogue_values import NO_VALUES, CatalogueValues
from models.index.shapes import SearchAnswer, SearchQuery
from studio.index.build import build_version, give_up_unfinished
from studio.index.rebuild import rebuild_if_due
from studio.ports import Studio


class Outgrown:
    """An index whose status the test sets."""

    def __init__(self, version: str, due: bool) -> None:
        self.version, self.due = version, due

    async def search(self, query: SearchQuery) -> SearchAnswer:
        return SearchAnswer(self.version, [], "fake-embedder")

    async def status(self) -> Mapping[str, object]:
        return {"version": self.version, "rebuildDue": self.due}

    async def complete(self, phrase: str, most: int) -> list[str]:
        return []

    async def catalogue_values(self) -> CatalogueValues:
        return NO_VALUES


async def test_an_outgrown_version_is_rebuilt_once(database_url: str) -> None:
    database = Database(database_url)
    for version, due in (("a", False), ("a", True), ("a", True), ("b", False), ("b", True)):
        await rebuild_if_due(database, Outgrown(version, due))
    async with database.read() as session:
        jobs = (await session.exec(select(Job).order_by("created_at"))).all()
    assert [(job.type, job.payload, job.state) for job in jobs] == [
        ("rebuild-index", {"full": False, "next": False}, "queued")
    ] * 2
    await database.aclose()


async def test_a_failed_rebuild_is_tried_again_the_next_day_and_told_of(
    database_url: str,
) -> None:
    database = Database(database_url)
    index = Outgrown("a", due=True)
    assert await rebuild_if_due(database, index) is None
    for state, ending in (("failed", "failed"), ("cancelled", "was cancelled")):
        await end_job(database, state)
        for _ in range(3):  # on the same day it stays as it is
            warning = await rebuild_if_due(database, index)
            assert warning == f"index a has too many changes, and its automatic rebuild {ending}"
        jobs = await list_rebuilds(database)
        assert jobs[-1].state == state
        await age(database)
        await rebuild_if_due(database, index)
        assert len(await list_rebuilds(database)) == len(jobs) + 1
        assert await rebuild_if_due(database, index) is None, "it is being tried"
    index.due = False
    await end_job(database, "failed")
    assert await rebuild_if_due(database, index) is None
    await database.aclose()


async def list_rebuilds(database: Database) -> Sequence[Job]:
    async with database.read() as session:
        return (await session.exec(select(Job).order_by("created_at"))).all()


async def end_job(database: Database, state: str) -> None:
    """Ends the open job."""
    async with database.transaction() as session:
        await session.exec(update(Job).where(col(Job.state) == "queued").values(state=state))


async def age(database: Database) -> None:
    """Moves all ended jobs to yesterday."""
    async with database.transaction() as session:
        key = func.replace(Job.idempotency_key, f"{datetime.now(UTC).date()}", "2020-01-01")
        day = timedelta(days=1)
        values = {"idempotency_key": key, "created_at": col(Job.created_at) - day}
        await session.exec(update(Job).where(col(Job.state) != "queued").values(values))


async def pass_on(session: AsyncSession) -> None:
    """The guard of a worker that still has its job."""


async def put_unfinished(studio: Studio) -> str:
    """Leaves a version as a worker does that is killed while it stores the files."""
    async with studio.database.transaction() as session:
        session.add(IndexVersion(version="half", embedder_version="fake-embedder"))
    await studio.blobs.put("indexes/half/vectors.f16.npy", b"x", "application/octet-stream")
    return "half"


async def test_what_a_killed_build_left_is_given_up(studio: Studio) -> None:
    whole, half = await build_version(studio), await put_unfinished(studio)
    await give_up_unfinished(studio, pass_on)
    async with studio.database.read() as session:
        rows = {row.version: row for row in await session.exec(select(IndexVersion))}
    assert (rows[half].status, rows[half].error) == ("failed", "its worker ended")
    assert rows[whole].status == "ready"
    assert [key async for key in studio.blobs.list(f"indexes/{half}/")] == []
    assert [key async for key in studio.blobs.list(f"indexes/{whole}/")]


async def test_a_worker_without_its_job_gives_nothing_up(studio: Studio) -> None:
    half = await put_unfinished(studio)

    async def refuse(session: AsyncSession) -> None:
        raise Superseded("another worker has this job")

    with pytest.raises(Superseded):
        await give_up_unfinished(studio, refuse)
    assert [key async for key in studio.blobs.list(f"indexes/{half}/")]


async def test_a_build_that_was_given_up_is_never_ready(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = studio.blobs.put_file

    async def give_up_meanwhile(key: str, path: Path) -> None:
        await store(key, path)
        await give_up_unfinished(studio, pass_on)

    monkeypatch.setattr(studio.blobs, "put_file", give_up_meanwhile)
    with pytest.raises((Conflict, NotFound)):
        await build_version(studio)
    async with studio.database.read() as session:
        assert (await session.exec(select(IndexVersion))).one().status == "failed"
