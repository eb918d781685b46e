"""Queries over jobs as their owners see them; enqueueing joins the caller's own transaction."""

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
"""NOTIFY with a job's type when one may be claimed: a hint, dispatchers poll as well."""


OPEN_JOBS = f"""
SELECT (SELECT count(*) FROM (
        SELECT 1 FROM job WHERE state = 'queued' AND type = :type AND {ACCOUNT} = :owner_id
        LIMIT :most) AS queued)
    + (SELECT count(*) FROM job WHERE state = 'running' AND type = :type AND owner_id = :owner_id)
"""  # noqa: S608 - every part is ours


async def find_keyed_job(session: AsyncSession, owner_id: UUID | None, key: str) -> Job | None:
    """The job that its owner has asked for under this idempotency key.

    Callers with one key wait for each other here, so that they all get the same job.
    """
    await wait_for_turn(session, f"job {owner_id} {key}")
    query = select(Job).where(Job.owner_id == owner_id, Job.idempotency_key == key)
    return (await session.exec(query)).first()


async def find_newest_keyed_job(session: AsyncSession, job_type: str, prefix: str) -> Job | None:
    """The studio's own newest job of a type whose idempotency key begins so."""
    query = select(Job).where(
        col(Job.owner_id).is_(None),
        Job.type == job_type,
        func.starts_with(Job.idempotency_key, prefix),
    )
    return (await session.exec(query.order_by(col(Job.created_at).desc()).limit(1))).first()


async def count_open_jobs(session: AsyncSession, owner_id: UUID, job_type: str, most: int) -> int:
    """An owner's queued and running jobs of a type; of the queued ones at most `most` are counted.

    Callers for one owner and type wait for each other until they commit, so that what is counted
    here is still true when a job is inserted.
    """
    await wait_for_turn(session, f"open jobs {owner_id} {job_type}")
    found = await session.exec(  # type: ignore[call-overload]
        text(OPEN_JOBS), params={"owner_id": owner_id, "type": job_type, "most": most}
    )
    return int(found.scalar_one())


async def wait_for_turn(session: AsyncSession, name: str) -> None:
    """A lock of this name until the transaction ends."""
    await session.exec(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


async def insert_job(session: AsyncSession, job: Job) -> Job:
    """Enqueues a job."""
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
    """A queued job is cancelled, a running one is asked to stop; None where it has ended.

    One statement: a job that goes back to the queue meanwhile is waited for and judged as it is
    then.
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
    """A job's state (None: there is no such job) and one of its events, if there is a new one."""

    job_state: str | None
    event: JobEvent | None


async def list_news(
    session: AsyncSession, watched: Sequence[tuple[UUID, int]], *, limit: int
) -> dict[tuple[UUID, int], list[JobNews]]:
    """For each (job, last event that is known) the following events, oldest first.

    At most `limit` of each; one entry without an event where there is none. State and events are
    of one moment.
    """
    given = {
        "ids": [job_id for job_id, _ in watched], "afters": [after for _, after in watched],
        "limit": limit,
    }  # fmt: skip
    rows = await session.exec(text(NEWS), params=given)  # type: ignore[call-overload]
    news: dict[tuple[UUID, int], list[JobNews]] = {}
    for row in rows.mappings():
        event = None
        if row["id"] is not None:
            event = JobEvent(
                id=row["id"], job_id=row["job_id"], at=row["at"], state=row["state"],
                progress=row["progress"],
            )  # fmt: skip
        one = JobNews(row["job_state"], event)
        news.setdefault((row["job_id"], row["after"]), []).append(one)
    return news


async def lock_old_jobs(
    session: AsyncSession, *, before: datetime, limit: int, without: Collection[UUID] = ()
) -> list[Job]:
    """Jobs that ended before, but for some, for whoever removes them; another remover's are left
    out.
    """
    query = select(Job).where(col(Job.finished_at) < before, col(Job.id).not_in(without))
    query = query.order_by(col(Job.finished_at)).limit(limit)
    return list((await session.exec(query.with_for_update(skip_locked=True))).all())


async def delete_jobs(session: AsyncSession, ids: Sequence[UUID]) -> None:
    """With their events; what was made by them forgets them."""
    forget = update(TryonJob).where(col(TryonJob.job_id).in_(ids)).values(job_id=None)
    await session.exec(forget)
    await session.exec(delete(Job).where(col(Job.id).in_(ids)))
