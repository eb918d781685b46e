"""Jobs on the side of those who ask: submitted, watched, cancelled, tried again."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime
from math import inf
from typing import Any
from uuid import UUID

from db.engine import Database
from db.jobs import get_job, list_events, request_cancel, requeue_failed
from db.tables import Job, JobEvent
from errors import Conflict, NotFound
from studio.catalog.imports import IMPORT_CATALOG
from studio.files.storage import require_storage
from studio.forms import Form
from studio.index.rebuild import REBUILD_INDEX
from studio.job_types import JobType, enqueue, require_room
from studio.ports import Studio
from studio.sales.train import TRAIN_REGRESSOR
from studio.segmentation.batch import SEGMENT_BATCH
from studio.tryon.job import TRYON

FINAL = frozenset({"succeeded", "failed", "cancelled"})
LOOK_S = 0.5
KEEP_ALIVE_S = 15.0

JOB_TYPES: dict[str, JobType] = {
    job_type.name: job_type
    for job_type in (
        IMPORT_CATALOG,
        REBUILD_INDEX,
        SEGMENT_BATCH,
        TRYON,
        TRAIN_REGRESSOR,
    )
}


async def submit_job(
    studio: Studio,
    job_type: JobType,
    form: Form,
    *,
    owner_id: UUID,
    idempotency_key: str | None = None,
    priority: int = 0,
    run_at: datetime | None = None,
) -> Job:
    """A new job, or the one that the idempotency key stands for.

    Raises:
        Conflict: the key was used with another request.
        TooManyOpenJobs: the owner may have no more open jobs of this type.
        TooLarge: the owner's quota is used up.
        StudioError: the payload names what is not there; see the type's `check`.
    """
    if job_type.has_results:
        await require_storage(studio, owner_id)
    if job_type.check is not None:
        await job_type.check(studio, owner_id, form)
    async with studio.database.transaction() as session:
        return await enqueue(
            session,
            job_type,
            form.model_dump(mode="json", by_alias=True, exclude_none=True),
            owner_id=owner_id,
            idempotency_key=idempotency_key,
            priority=priority,
            run_at=run_at,
        )


async def find_job(database: Database, job_id: UUID, owner_id: UUID | None) -> Job:
    """One job; `owner_id` None means anyone's.

    Raises:
        NotFound: absent, or another's.
    """
    async with database.transaction() as session:
        job = await get_job(session, job_id)
    if job is None or (owner_id is not None and job.owner_id != owner_id):
        raise NotFound("no such job")
    return job


async def signed_result(studio: Studio, result: dict[str, Any] | None) -> dict[str, Any] | None:
    """A job's result for its reader: where it names a blob (`outputKey`), a URL (`outputUrl`).

    The same in each of its `results`. Signed for this answer: rows hold keys, never URLs.
    """
    if result is None:
        return None
    signed: dict[str, Any] = {}
    for name, value in result.items():
        if _is_key(name, value):
            signed[name.removesuffix("Key") + "Url"] = await studio.blobs.sign_get(value)
        elif name == "results" and isinstance(value, list):
            signed[name] = [await signed_result(studio, one) for one in value]
        else:
            signed[name] = value
    return signed


def _is_key(name: str, value: object) -> bool:
    return name.endswith("Key") and isinstance(value, str)


async def cancel_job(database: Database, job_id: UUID) -> Job:
    """A queued job ends at once; a running one at its next step, or it is killed.

    Raises:
        Conflict: it has ended otherwise, or was retried at this moment.
    """
    async with database.transaction() as session:
        cancelled = await request_cancel(session, job_id)
        job = cancelled or await get_job(session, job_id)
    if job is None:
        raise NotFound("no such job")
    if cancelled is None and job.state not in FINAL:
        raise Conflict("the job was retried just now: cancel it again")
    if job.state in FINAL - {"cancelled"}:
        raise Conflict(f"the job has {job.state} already")
    return job


async def retry_job(database: Database, job_id: UUID, *, is_bounded: bool = False) -> Job:
    """A failed job is queued again, with all its attempts; `is_bounded`: as `enqueue` would.

    Raises:
        Conflict: it has not failed.
        TooManyOpenJobs: its owner may have no more open jobs of this type.
    """
    async with database.transaction() as session:
        there = await get_job(session, job_id)
        if there is None:
            raise NotFound("no such job")
        job_type = JOB_TYPES.get(there.type)
        if is_bounded and job_type is not None and there.owner_id is not None:
            await require_room(session, job_type, there.owner_id)
        job = await requeue_failed(session, job_id)
    if job is None:
        raise Conflict(f"only a failed job can be retried; this one is {there.state}")
    return job


async def follow_job(
    database: Database,
    job_id: UUID,
    *,
    after: int = 0,
    limit_s: float = inf,
    keep_alive_s: float = KEEP_ALIVE_S,
    until: asyncio.Event | None = None,
) -> AsyncIterator[JobEvent | None]:
    """Every change after the event `after`, up to the final one; None: still here.

    Ends before, at the next look, after `limit_s` or when `until` is set.
    """
    until = until or asyncio.Event()
    began_s = told_s = time.monotonic()
    while time.monotonic() - began_s < limit_s and not until.is_set():
        async with database.transaction() as session:
            job = await get_job(session, job_id)
            events = await list_events(session, job_id, after=after)
        for event in events:
            after, told_s = event.id or 0, time.monotonic()
            yield event
        if job is None or (job.state in FINAL and not events):
            return
        if events:
            continue
        if time.monotonic() - told_s > keep_alive_s:
            told_s = time.monotonic()
            yield None
        with suppress(TimeoutError):
            await asyncio.wait_for(until.wait(), LOOK_S)
