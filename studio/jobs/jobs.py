"""Jobs from the caller's side: submit, read, follow, cancel and retry."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

from db import jobs as queries
from db.engine import Database
from db.jobs import get_job, list_events, request_cancel, requeue_failed
from db.tables import Job, JobEvent
from errors import Conflict, NotFound
from studio.catalog.import_job import drop_file
from studio.files.storage import require_storage
from studio.forms import Form
from studio.job_types import JobType, enqueue, require_room
from studio.jobs.registry import JOB_TYPES
from studio.ports import Studio

FINAL = frozenset({"succeeded", "failed", "cancelled"})
POLL_S = 0.5
KEEP_ALIVE_S = 15.0


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
    """Queues a new job, or returns the one that the idempotency key already names.

    Raises:
        Conflict: the key was used with another request.
        TooManyOpenJobs: the owner may have no more open jobs of this type.
        TooLarge: the owner's quota is used up.
        StudioError: the payload names something that does not exist; see the type's `check`.
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
    """Reads one job; `owner_id` None stands for any owner.

    Raises:
        NotFound: there is no such job, or it is another account's.
    """
    async with database.transaction() as session:
        job = await get_job(session, job_id)
    if job is None or (owner_id is not None and job.owner_id != owner_id):
        raise NotFound("no such job")
    return job


async def list_jobs(
    database: Database,
    owner_id: UUID | None,
    *,
    limit: int,
    after: tuple[datetime, UUID] | None = None,
    state: str | None = None,
) -> list[Job]:
    """Reads jobs, newest first; `owner_id` None stands for any owner, `state` None for any."""
    async with database.read() as session:
        return await queries.list_jobs(
            session, owner_id=owner_id, limit=limit, after=after, state=state
        )


async def has_events_after(database: Database, job_id: UUID, event_id: int) -> bool:
    """Whether the job has an event after this one."""
    async with database.read() as session:
        return bool(await list_events(session, job_id, after=event_id, limit=1))


async def signed_result(studio: Studio, result: dict[str, Any] | None) -> dict[str, Any] | None:
    """A job's result for its reader, with a signed URL (`outputUrl`) for each key (`outputKey`).

    This includes the entries of a list `results`. Rows store keys, never URLs.
    """
    if result is None:
        return None
    signed: dict[str, Any] = {}
    for name, value in result.items():
        if _is_key(name, value):
            signed[name.removesuffix("Key") + "Url"] = await studio.blobs.sign_get(value)
        elif name == "results" and isinstance(value, list):
            signed[name] = [await signed_result(studio, entry) for entry in value]
        else:
            signed[name] = value
    return signed


def _is_key(name: str, value: object) -> bool:
    return name.endswith("Key") and isinstance(value, str)


async def cancel_own_job(studio: Studio, job_id: UUID, owner_id: UUID | None) -> Job:
    """Cancels a job as `cancel_job` does, and deletes the file that came with its request.

    A worker deletes the file of a job that was running; no worker has a job that was queued.

    Raises:
        NotFound: there is no such job, or it is another account's.
        Conflict: it has ended otherwise, or was retried at this moment.
        Unavailable: the blob store can't be reached; the job is cancelled, and its file is deleted
            together with the job's row later.
    """
    await find_job(studio.database, job_id, owner_id)
    job = await cancel_job(studio.database, job_id)
    if job.state == "cancelled":
        await drop_file(studio.blobs, job.payload)
    return job


async def cancel_job(database: Database, job_id: UUID) -> Job:
    """Ends a queued job at once; a running one stops at its next step, or is killed.

    Raises:
        NotFound: there is no such job.
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


async def retry_own_job(studio: Studio, job_id: UUID, owner_id: UUID | None) -> Job:
    """Retries a job as `retry_job` does; the limit of open jobs applies where there is an owner.

    Raises:
        NotFound: there is no such job, or it is another account's.
        Conflict: it has not failed.
        TooManyOpenJobs: the owner may have no more open jobs of this type.
    """
    await find_job(studio.database, job_id, owner_id)
    return await retry_job(studio.database, job_id, is_bounded=owner_id is not None)


async def retry_job(database: Database, job_id: UUID, *, is_bounded: bool = False) -> Job:
    """Queues a failed job again with all its attempts.

    is_bounded: the owner's limit of open jobs applies, as in `enqueue`.

    Raises:
        NotFound: there is no such job.
        Conflict: it has not failed.
        TooManyOpenJobs: its owner may have no more open jobs of this type.
    """
    async with database.transaction() as session:
        failed = await get_job(session, job_id)
        if failed is None:
            raise NotFound("no such job")
        job_type = JOB_TYPES.get(failed.type)
        if is_bounded and job_type is not None and failed.owner_id is not None:
            await require_room(session, job_type, failed.owner_id)
        job = await requeue_failed(session, job_id)
    if job is None:
        raise Conflict(f"only a failed job can be retried; this one is {failed.state}")
    return job


async def follow_job(
    database: Database,
    job_id: UUID,
    *,
    after: int = 0,
    keep_alive_s: float = KEEP_ALIVE_S,
    until: asyncio.Event | None = None,
) -> AsyncIterator[JobEvent | None]:
    """Yields every event after the event `after`, up to the final one; None as a keep-alive.

    Ends early when `until` is set.
    """
    until = until or asyncio.Event()
    last_s = time.monotonic()
    while not until.is_set():
        async with database.transaction() as session:
            job = await get_job(session, job_id)
            events = await list_events(session, job_id, after=after)
        for event in events:
            after, last_s = event.id or 0, time.monotonic()
            yield event
        if job is None or (job.state in FINAL and not events):
            return
        if events:
            continue
        if time.monotonic() - last_s > keep_alive_s:
            last_s = time.monotonic()
            yield None
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await until.wait()
