"""Queries over jobs as their owners see them; a job is enqueued in the caller's transaction."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import case, func, text, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import ACCOUNT, Job, JobEvent, TryonJob

CHANNEL = "studio_job"
"""NOTIFY channel: a message is the type of a job that may be claimed. Dispatchers poll as well."""


OPEN_JOBS = f"""
SELECT (SELECT count(*) FROM (
        SELECT 1 FROM job WHERE state = 'queued' AND type = :type AND {ACCOUNT} = :owner_id
        LIMIT :most) AS queued)
    + (SELECT count(*) FROM job WHERE state = 'running' AND type = :type AND owner_id = :owner_id)
"""  # noqa: S608 - every part is a constant


async def find_keyed_job(session: AsyncSession, owner_id: UUID | None, key: str) -> Job | None:
    """Finds the job that its owner submitted under this idempotency key.

    Callers with the same key wait for each other here, so that they all get the same job.
    """
    await wait_for_turn(session, f"job {owner_id} {key}")
    query = select(Job).where(Job.owner_id == owner_id, Job.idempotency_key == key)
    return (await session.exec(query)).first()


async def find_newest_keyed_job(session: AsyncSession, job_type: str, prefix: str) -> Job | None:
    """Finds the newest job of a type without owner whose idempotency key has this prefix."""
    query = select(Job).where(
        col(Job.owner_id).is_(None),
        Job.type == job_type,
        func.starts_with(Job.idempotency_key, prefix),
    )
    return (await session.exec(query.order_by(col(Job.created_at).desc()).limit(1))).first()


async def count_open_jobs(session: AsyncSession, owner_id: UUID, job_type: str, most: int) -> int:
    """Counts an owner's running and queued jobs of a type; at most `most` of the queued ones.

    Callers for one owner and type wait for each other until they commit, so that the count still
    holds when a job is inserted.
    """
    await wait_for_turn(session, f"open jobs {owner_id} {job_type}")
    result = await session.exec(  # type: ignore[call-overload]
        text(OPEN_JOBS), params={"owner_id": owner_id, "type": job_type, "most": most}
    )
    return int(result.scalar_one())


async def wait_for_turn(session: AsyncSession, name: str) -> None:
    """Takes the lock of this name until the transaction ends."""
    await session.exec(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


async def insert_job(session: AsyncSession, job: Job) -> Job:
    """Inserts a queued job and announces it."""
    values = job.model_dump(exclude_none=True)
    statement = insert(Job).values(values).returning(Job)
    queued: Job = (await session.exec(statement)).scalar_one()
    await announce(session, queued)
    return queued


async def announce(session: AsyncSession, job: Job) -> None:
    """Inserts an event for watchers of the job, and notifies dispatchers where it is queued."""
    await session.exec(
        insert(JobEvent).values(job_id=job.id, state=job.state, progress=progress_of(job))
    )
    if job.state == "queued":
        await session.exec(select(func.pg_notify(CHANNEL, job.type)))


def progress_of(job: Job) -> dict[str, Any]:
    """The job's progress as events and responses contain it."""
    return {
        "done": job.progress_done, "total": job.progress_total, "message": job.progress_message,
    }  # fmt: skip


async def get_job(session: AsyncSession, job_id: UUID, *, lock: bool = False) -> Job | None:
    """Gets a job; with `lock` the row stays locked until the transaction ends."""
    return await session.get(Job, job_id, with_for_update=lock or None)


async def list_jobs(
    session: AsyncSession,
    *,
    owner_id: UUID | None,
    limit: int,
    after: tuple[datetime, UUID] | None = None,
    state: str | None = None,
) -> list[Job]:
    """Lists jobs, newest first; `owner_id` None means the jobs of all owners."""
    query = select(Job).order_by(col(Job.created_at).desc(), col(Job.id).desc()).limit(limit)
    if owner_id is not None:
        query = query.where(Job.owner_id == owner_id)
    if state is not None:
        query = query.where(Job.state == state)
    if after is not None:
        query = query.where(tuple_(col(Job.created_at), col(Job.id)) < after)
    return list((await session.exec(query)).all())


async def request_cancel(session: AsyncSession, job_id: UUID) -> Job | None:
    """Cancels a queued job, or requests that a running one stops; None where the job has ended.

    One statement does both: if the job returns to the queue meanwhile, the statement waits for
    that and then sees the new state.
    """
    is_queued = col(Job.state) == "queued"
    statement = (
        update(Job)
        .where(col(Job.id) == job_id, col(Job.state).in_(("queued", "running")))
        .values(
            cancel_requested=True,
            state=case((is_queued, "cancelled"), else_=col(Job.state)),
            finished_at=case((is_queued, func.now()), else_=col(Job.finished_at)),
        )
    )
    job: Job | None = (await session.exec(statement.returning(Job))).scalar_one_or_none()
    if job is not None and job.state == "cancelled":
        await announce(session, job)
    return job


async def requeue_failed(session: AsyncSession, job_id: UUID) -> Job | None:
    """Queues a failed job again with all its attempts; None where the job has not failed."""
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
    """Lists a job's events, oldest first; their ids grow in the order of commits."""
    query = select(JobEvent).where(JobEvent.job_id == job_id, col(JobEvent.id) > after)
    return list((await session.exec(query.order_by(col(JobEvent.id)).limit(limit))).all())


NEWS = """
SELECT watched.job_id, watched.after, job.state AS job_state, event.*
FROM unnest(CAST(:ids AS uuid[]), CAST(:afters AS bigint[])) AS watched(job_id, after)
LEFT JOIN job ON job.id = watched.job_id
LEFT JOIN LATERAL (
    SELECT id, at, state, progress FROM job_event
    WHERE job_id = watched.job_id AND id > watched.after ORDER BY id LIMIT :limit) AS event ON true
ORDER BY watched.job_id, watched.after, event.id
"""


@dataclass(frozen=True)
class JobNews:
    """A job's state (None: there is no such job) and one new event, if there is any."""

    job_state: str | None
    event: JobEvent | None


async def list_news(
    session: AsyncSession, watched: Sequence[tuple[UUID, int]], *, limit: int
) -> dict[tuple[UUID, int], list[JobNews]]:
    """For each (job, id of the last known event) lists the later events, oldest first.

    A job has at most `limit` entries. A job without later events has one entry without an event.
    States and events come from one snapshot.
    """
    parameters = {
        "ids": [job_id for job_id, _ in watched], "afters": [after for _, after in watched],
        "limit": limit,
    }  # fmt: skip
    rows = await session.exec(text(NEWS), params=parameters)  # type: ignore[call-overload]
    news: dict[tuple[UUID, int], list[JobNews]] = {}
    for row in rows.mappings():
        event = None
        if row["id"] is not None:
            event = JobEvent(
                id=row["id"], job_id=row["job_id"], at=row["at"], state=row["state"],
                progress=row["progress"],
            )  # fmt: skip
        key = row["job_id"], row["after"]
        news.setdefault(key, []).append(JobNews(row["job_state"], event))
    return news


async def lock_old_jobs(
    session: AsyncSession, *, before: datetime, limit: int, without: Collection[UUID] = ()
) -> list[Job]:
    """Locks jobs that ended before `before`, except `without`, so that they can be deleted.

    Jobs that another transaction has locked are skipped.
    """
    query = select(Job).where(col(Job.finished_at) < before, col(Job.id).not_in(without))
    query = query.order_by(col(Job.finished_at)).limit(limit)
    return list((await session.exec(query.with_for_update(skip_locked=True))).all())


async def delete_jobs(session: AsyncSession, ids: Sequence[UUID]) -> None:
    """Deletes jobs and their events; try-ons that they made lose the reference."""
    forget = update(TryonJob).where(col(TryonJob.job_id).in_(ids)).values(job_id=None)
    await session.exec(forget)
    await session.exec(delete(Job).where(col(Job.id).in_(ids)))
