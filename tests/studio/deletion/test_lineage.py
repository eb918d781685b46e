"""Results and their deletion don't get in each other's way."""

import asyncio
from uuid import UUID

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import Job, TryonJob
from db.tryons import update_tryon
from errors import Unavailable
from models.segmenter.shapes import SegmentPrompt
from studio.ports import Studio
from studio.segmentation.segmentation import segment_stored
from studio.tryon.history import delete_tryon
from tests.studio.deletion.rows import KEY, add, rows, run, tryon

WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"


async def test_a_try_on_that_ends_and_its_deletion_do_not_wait_in_a_circle(
    studio: Studio, owner: UUID
) -> None:
    job = Job(type="tryon", owner_id=owner, state="running")
    await add(studio, job)
    await add(studio, tryon(id=job.id, job_id=job.id, state="running"))
    async with studio.database.transaction() as session:
        await session.get(Job, job.id, with_for_update=True)  # as a finish does
        deletion = asyncio.create_task(delete_tryon(studio, owner, job.id, ip=None))
        while not await run(studio, WAITING):  # noqa: ASYNC110 - it says nothing when it waits
            await asyncio.sleep(0.01)
        await update_tryon(session, job.id, model_version="m")
    await deletion
    assert await rows(studio, TryonJob.id) == []


async def test_no_mask_is_left_where_its_row_could_not_be_written(
    studio: Studio, owner: UUID
) -> None:
    async def fail(_session: AsyncSession) -> None:
        raise Unavailable("other transactions are changing the same rows")

    before = {key async for key in studio.blobs.list("masks/")}
    with pytest.raises(Unavailable):
        await segment_stored(studio, owner, SegmentPrompt(target="garment"), KEY, guard=fail)
    assert {key async for key in studio.blobs.list("masks/")} == before
