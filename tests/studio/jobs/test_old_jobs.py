"""Ended jobs stay for their time; then they are deleted with their events and files only."""

import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func
from sqlmodel import select

from db.tables import Job, JobEvent, TryonJob
from errors import NotFound, Unavailable
from studio.accounts.accounts import create_user
from studio.catalog.imports import enqueue_import, receive_file
from studio.jobs import old_jobs
from studio.jobs.old_jobs import reap_old_jobs
from studio.ports import Studio

CSV = b"title\nA thing\n"


async def arriving(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def ended(studio: Studio, days_ago: float | None, state: str = "failed") -> Job:
    """Inserts an import that ended this long ago; None: it is still queued."""
    owner = await create_user(
        studio.database, email=f"{days_ago}@example.com", password="x" * 12, role="merchant"
    )
    with tempfile.TemporaryDirectory() as folder:
        received = await receive_file(arriving(CSV), Path(folder) / "lines")
        job = await enqueue_import(studio, owner.id, received, None)
    if days_ago is not None:
        async with studio.database.transaction() as session:
            row = await session.get(Job, job.id)
            assert row is not None
            row.state, row.finished_at = state, datetime.now(UTC) - timedelta(days=days_ago)
            session.add(row)
    return job


async def test_old_jobs_go_with_all_they_left_behind(studio: Studio) -> None:
    old, young, waiting = [await ended(studio, days) for days in (31, 29, None)]
    assert old.owner_id is not None
    async with studio.database.transaction() as session:
        tryon = TryonJob(
            user_id=old.owner_id, job_id=old.id, person_key="a", garment_key="b", seed=1,
            request_id="r",
        )  # fmt: skip
        session.add(tryon)
    assert await reap_old_jobs(studio.database, studio.blobs, days=30) == 1
    assert await reap_old_jobs(studio.database, studio.blobs, days=30) == 0
    async with studio.database.read() as session:
        left = set((await session.exec(select(Job.id))).all())
        job_ids = set((await session.exec(select(JobEvent.job_id))).all())
        history = (await session.exec(select(TryonJob))).one()
        counted = (await session.exec(select(func.count()).select_from(TryonJob))).one()
    assert left == job_ids == {young.id, waiting.id}
    assert (counted, history.job_id, history.person_key) == (1, None, "a")
    assert await is_there(studio, young) and await is_there(studio, waiting)
    assert not await is_there(studio, old)


async def test_a_file_that_stays_keeps_no_other_job(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, *others = [await ended(studio, days) for days in (40, 35, 33)]
    delete = studio.blobs.delete

    async def refuse_one(key: str) -> None:
        if key == stuck.payload["blobKey"]:
            raise Unavailable("the blob store refuses")
        await delete(key)

    monkeypatch.setattr(studio.blobs, "delete", refuse_one)
    monkeypatch.setattr(old_jobs, "BATCH", 1)
    assert await reap_old_jobs(studio.database, studio.blobs, days=30) == 2
    async with studio.database.read() as session:
        assert list((await session.exec(select(Job.id))).all()) == [stuck.id]
    assert not await is_there(studio, others[0])
    monkeypatch.setattr(studio.blobs, "delete", delete)
    assert await reap_old_jobs(studio.database, studio.blobs, days=30) == 1


async def is_there(studio: Studio, job: Job) -> bool:
    try:
        return await studio.blobs.get(job.payload["blobKey"]) == CSV
    except NotFound:
        return False
