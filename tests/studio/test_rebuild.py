"""Rebuilds: one for a version that its changes have outgrown; nothing of a killed one stays."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from sqlmodel import select

from db.engine import AsyncSession, Database
from db.tables import IndexVersion, Job
from errors import Conflict, NotFound, Superseded
from studio.indexing import build_version, give_up_unfinished
from studio.ports import IndexAnswer, IndexQuery, Studio
from studio.rebuild import rebuild_if_due


class Outgrown:
    """An index that says what it is told to say."""

    def __init__(self, version: str, due: bool) -> None:
        self.version, self.due = version, due

    async def search(self, query: IndexQuery) -> IndexAnswer:
        return IndexAnswer(self.version, [])

    async def status(self) -> Mapping[str, object]:
        return {"version": self.version, "rebuildDue": self.due}


async def test_an_outgrown_version_is_rebuilt_once(database_url: str) -> None:
    database = Database(database_url)
    for version, due in (("a", False), ("a", True), ("a", True), ("b", False), ("b", True)):
        await rebuild_if_due(database, Outgrown(version, due))
    async with database.read() as session:
        jobs = (await session.exec(select(Job).order_by("created_at"))).all()
    assert [(job.type, job.payload, job.state) for job in jobs] == [
        ("rebuild-index", {"full": False}, "queued")
    ] * 2
    await database.aclose()


async def pass_on(session: AsyncSession) -> None:
    """A worker that has its job."""


async def put_unfinished(studio: Studio) -> str:
    """What a worker leaves that is killed while it stores a version."""
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
