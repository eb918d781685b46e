"""Queries over jobs; enqueueing is an insert in the caller's own transaction."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, tuple_
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import Job


async def insert_job(session: AsyncSession, job: Job) -> Job:
    """Enqueues a job; the same owner, type and idempotency key give the job that is there."""
    if job.idempotency_key is not None:
        query = select(Job).where(
            Job.owner_id == job.owner_id,
            Job.type == job.type,
            Job.idempotency_key == job.idempotency_key,
        )
        there = (await session.exec(query)).one_or_none()
        if there is not None:
            return there
    session.add(job)
    await session.flush()
    return job


async def get_job(session: AsyncSession, job_id: UUID) -> Job | None:
    """One job."""
    return await session.get(Job, job_id)


async def list_jobs(
    session: AsyncSession,
    *,
    owner_id: UUID | None,
    limit: int,
    after: tuple[datetime, UUID] | None,
) -> list[Job]:
    """Newest first; `owner_id` None means everyone's."""
    query = select(Job).order_by(col(Job.created_at).desc(), col(Job.id).desc()).limit(limit)
    if owner_id is not None:
        query = query.where(Job.owner_id == owner_id)
    if after is not None:
        query = query.where(tuple_(col(Job.created_at), col(Job.id)) < after)
    return list((await session.exec(query)).all())


async def start_job(session: AsyncSession, job_id: UUID) -> None:
    """Queued -> running."""
    await session.exec(
        update(Job)
        .where(col(Job.id) == job_id)
        .values(state="running", started_at=func.now(), attempts=Job.attempts + 1)
    )


async def set_progress(
    session: AsyncSession, job_id: UUID, *, done: int, total: int, message: str
) -> None:
    """What a watcher of the job sees."""
    await session.exec(
        update(Job)
        .where(col(Job.id) == job_id)
        .values(progress_done=done, progress_total=total, progress_message=message)
    )


async def finish_job(
    session: AsyncSession,
    job_id: UUID,
    *,
    state: str,
    result: dict[str, Any] | None = None,
    error: str | None = None,
) -> None:
    """Running -> succeeded or failed."""
    await session.exec(
        update(Job)
        .where(col(Job.id) == job_id)
        .values(state=state, result=result, error=error, finished_at=func.now())
    )


async def fail_orphans(session: AsyncSession, reason: str) -> int:
    """Ends jobs that a stopped studio left behind; only until jobs are durable by leases."""
    ended = await session.exec(
        update(Job)
        .where(col(Job.state).in_(("queued", "running")))
        .values(state="failed", error=reason, finished_at=func.now())
    )
    return int(ended.rowcount)
