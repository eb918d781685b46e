"""Dispatchers that run jobs in the test's own process, with the real claims and endings."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from db.jobs import get_job, list_events
from db.tables import Job, JobEvent
from jobs.dispatcher import Dispatcher, DispatcherArgs
from jobs.handler import Handlers
from jobs.inline import InlineExecutor
from jobs.registry import HANDLERS
from jobs.retry import RetryPolicy
from studio.job_types import JobType, enqueue
from studio.ports import Studio

QUICK = DispatcherArgs(
    cpus=8, max_running=8, lease_s=1.0, poll_s=0.05, start_s=5, grace_s=0.5, drain_s=5
)
NOTE = JobType("note", role="customer")
"""The type of the jobs that these tests run, whatever they are called."""
SOON = RetryPolicy(first_s=0.02, longest_s=0.1, max_crashes=3)


@asynccontextmanager
async def dispatching(
    studio: Studio,
    handlers: Handlers = HANDLERS,
    *,
    args: DispatcherArgs = QUICK,
    policy: RetryPolicy = SOON,
    executor: Any = None,
) -> AsyncIterator[Dispatcher]:
    """Runs a dispatcher while the block runs."""
    dispatcher = Dispatcher(
        studio.database,
        executor or InlineExecutor(studio, policy),
        handlers,
        args,
        policy,
        listen_url=studio.settings.required("database_url"),
    )
    task = asyncio.create_task(dispatcher.run())
    try:
        yield dispatcher
    finally:
        dispatcher.drain()
        await task


async def put_job(
    studio: Studio, kind: str = "note", payload: dict[str, Any] | None = None, **options: Any
) -> UUID:
    """Enqueues a job of any type, which the handlers of the test must know."""
    attempts = options.pop("max_attempts", 5)
    async with studio.database.transaction() as session:
        job = await enqueue(
            session, JobType(kind, role="customer", max_attempts=attempts), payload or {},
            owner_id=options.pop("owner_id", None), **options,
        )  # fmt: skip
    return job.id


async def job_of(studio: Studio, job_id: UUID) -> Job:
    """Reads the job's row."""
    async with studio.database.transaction() as session:
        job = await get_job(session, job_id)
    assert job is not None
    return job


async def events_of(studio: Studio, job_id: UUID) -> list[JobEvent]:
    """Reads all events of a job."""
    async with studio.database.transaction() as session:
        return list(await list_events(session, job_id))


async def until_state(studio: Studio, job_id: UUID, *states: str, timeout_s: float = 20) -> Job:
    """Waits until the job is in one of the states; by default in a final one."""
    expected = states or ("succeeded", "failed", "cancelled")
    for _ in range(int(timeout_s / 0.02)):
        job = await job_of(studio, job_id)
        if job.state in expected:
            return job
        await asyncio.sleep(0.02)
    raise AssertionError(f"the job is {job.state}, not one of {expected}")
