"""Queries over jobs as their owners see them; enqueueing joins the caller's own transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import Job, JobEvent, TryonJob

CHANNEL = "studio_job"
"""NOTIFY with a job's type when one may be claimed: a hint, dispatchers poll as well."""


async def insert_job(session: AsyncSession, job: Job) -> Job:
    """Enqueues a job; an idempotency key that its owner has used gives the job that is there.

    Callers with one key wait for each other here, so that they all get the same job.
    """
    if job.idempotency_key is not None:
        name = f"job {job.owner_id} {job.idempotency_key}"
        await session.exec(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))
        query = select(Job).where(
            Job.owner_id == job.owner_id, Job.idempotency_key == job.idempotency_key
        )
        if (there := (await session.exec(query)).first()) is not None:
            return there
    values = job.model_dump(exclude_none=True)
    statement = insert(Job).values(values).returning(Job)
    queued: Job = (await session.exec(statement)).scalar_one()
    await announce(session, queued)
    return queued


async def announce(session: AsyncSession, job: Job) -> None:
    """An event for whoever watches the job, a hint for whoever may run it; after its update."""
    await session.exec(
        insert(JobEvent).values(job_id=job.id, state=job.state, progress=progress_of(job))
    )
    if job.state == "queued":
        await session.exec(select(func.pg_notify(CHANNEL, job.type)))


def progress_of(job: Job) -> dict[str, Any]:
    """As events and answers show it."""
    return {
        "done": job.progress_done, "total": job.progress_total, "message": job.progress_message,
    }  # fmt: skip


async def get_job(session: AsyncSession, job_id: UUID, *, lock: bool = False) -> Job | None:
    """One job."""
    return await session.get(Job, job_id, with_for_update=lock or None)


async def list_jobs(
    session: AsyncSession,
    *,
    owner_id: UUID | None,
    limit: int,
    after: tuple[datetime, UUID] | None = None,
    state: str | None = None,
) -> list[Job]:
    """Newest first; `owner_id` None means everyone's."""
    query = select(Job).order_by(col(Job.created_at).desc(), col(Job.id).desc()).limit(limit)
    if owner_id is not None:
        query = query.where(Job.owner_id == owner_id)
    if state is not None:
        query = query.where(Job.state == state)
    if after is not None:
        query = query.where(tuple_(col(Job.created_at), col(Job.id)) < after)
    return list((await session.exec(query)).all())


async def request_cancel(session: AsyncSession, job_id: UUID) -> Job | None:
    """A queued job is cancelled, a running one is asked to stop; None where it has ended."""
    statement = (
        update(Job)
        .where(col(Job.id) == job_id, col(Job.state) == "queued")
        .values(state="cancelled", cancel_requested=True, finished_at=func.now())
    )
    cancelled: Job | None = (await session.exec(statement.returning(Job))).scalar_one_or_none()
    if cancelled is not None:
        await announce(session, cancelled)
        return cancelled
    statement = update(Job).where(col(Job.id) == job_id, col(Job.state) == "running")
    asked = await session.exec(statement.values(cancel_requested=True).returning(Job))
    running: Job | None = asked.scalar_one_or_none()
    return running


async def requeue_failed(session: AsyncSession, job_id: UUID) -> Job | None:
    """A dead letter gets all its attempts again, and goes on where it stopped; else None."""
    statement = (
        update(Job)
        .where(col(Job.id) == job_id, col(Job.state) == "failed")
        .values(
            state="queued", attempts=0, crashes=0, cancel_requested=False, run_at=func.now(),
            result=None, error=None, finished_at=None,
        )
    )  # fmt: skip
    queued: Job | None = (await session.exec(statement.returning(Job))).scalar_one_or_none()
    if queued is not None:
        await announce(session, queued)
    return queued


async def list_events(
    session: AsyncSession, job_id: UUID, *, after: int = 0, limit: int = 500
) -> Sequence[JobEvent]:
    """What happened to a job, oldest first; ids grow in the order of commits."""
    query = select(JobEvent).where(JobEvent.job_id == job_id, col(JobEvent.id) > after)
    return list((await session.exec(query.order_by(col(JobEvent.id)).limit(limit))).all())


async def lock_old_jobs(session: AsyncSession, *, before: datetime, limit: int) -> list[Job]:
    """Jobs that ended before, for whoever removes them; another remover's are left out."""
    query = select(Job).where(col(Job.finished_at) < before).limit(limit)
    return list((await session.exec(query.with_for_update(skip_locked=True))).all())


async def delete_jobs(session: AsyncSession, ids: Sequence[UUID]) -> None:
    """With their events; what was made by them forgets them."""
    forget = update(TryonJob).where(col(TryonJob.job_id).in_(ids)).values(job_id=None)
    await session.exec(forget)
    await session.exec(delete(Job).where(col(Job.id).in_(ids)))
