"""Dispatchers that run jobs in the test's own process: the same claims, leases and ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from db.jobs import get_job, list_events
from db.tables import Job, JobEvent
from errors import CancelRequested
from jobs.attempt import JobAttempt, run_claim
from jobs.claim import Claim
from jobs.dispatcher import Dispatcher, DispatcherArgs
from jobs.finishing import EndingWriter
from jobs.handlers import HANDLERS, Handler, Handlers
from jobs.retry import RetryPolicy
from studio.job_types import JobType, enqueue
from studio.ports import Studio

QUICK = DispatcherArgs(
    cpus=8, max_running=8, lease_s=1.0, poll_s=0.05, start_s=5, grace_s=0.5, drain_s=5
)
SOON = RetryPolicy(first_s=0.02, longest_s=0.1, max_crashes=3)


class InlineExecution:
    """An attempt as a task of this event loop; a kill is a cancellation."""

    def __init__(self, task: asyncio.Task[None], attempt: JobAttempt) -> None:
        self._task = task
        self.attempt = attempt

    async def wait(self) -> bool:
        await asyncio.wait({self._task})
        return not self._task.cancelled()

    def kill(self) -> None:
        self._task.cancel()


class InlineExecutor:
    """The dispatcher keeps the leases, for nobody takes them over."""

    def __init__(self, studio: Studio, policy: RetryPolicy = SOON) -> None:
        self._studio = studio
        self._policy = policy
        self._ledger = EndingWriter(studio.database)
        self.started: list[InlineExecution] = []

    def start(self, claim: Claim, handler: Handler) -> InlineExecution:
        attempt = JobAttempt(self._studio.database, claim)
        work = run_claim(self._studio, attempt, handler, self._policy, self._ledger)
        execution = InlineExecution(asyncio.create_task(work), attempt)
        self.started.append(execution)
        return execution

    def cancel_all(self) -> None:
        """As a lease keeper does that hears of a cancelled job."""
        for one in self.started:
            one.attempt.stop(CancelRequested("cancelled"))


@asynccontextmanager
async def dispatching(
    studio: Studio,
    handlers: Handlers = HANDLERS,
    *,
    args: DispatcherArgs = QUICK,
    policy: RetryPolicy = SOON,
    executor: Any = None,
) -> AsyncIterator[Dispatcher]:
    """Jobs are done while the block runs."""
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
    """A job of a type that only the test's handlers know."""
    attempts = options.pop("max_attempts", 5)
    async with studio.database.transaction() as session:
        job = await enqueue(
            session, JobType(kind, role="customer", max_attempts=attempts), payload or {},
            owner_id=options.pop("owner_id", None), **options,
        )  # fmt: skip
    return job.id


async def job_of(studio: Studio, job_id: UUID) -> Job:
    """The row as it is now."""
    async with studio.database.transaction() as session:
        job = await get_job(session, job_id)
    assert job is not None
    return job


async def events_of(studio: Studio, job_id: UUID) -> list[JobEvent]:
    """All that its owner was told."""
    async with studio.database.transaction() as session:
        return list(await list_events(session, job_id))


async def until_state(studio: Studio, job_id: UUID, *states: str, timeout_s: float = 20) -> Job:
    """The job once it is in one of the states (a final one, unless named)."""
    wanted = states or ("succeeded", "failed", "cancelled")
    for _ in range(int(timeout_s / 0.02)):
        job = await job_of(studio, job_id)
        if job.state in wanted:
            return job
        await asyncio.sleep(0.02)
    raise AssertionError(f"the job is {job.state}, not one of {wanted}")
