"""Dispatchers that run jobs in the test's own process, with the real claims and endings."""

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
from jobs.handler import Handler, Handlers
from jobs.registry import HANDLERS
from jobs.retry import RetryPolicy
from studio.job_types import JobType, enqueue
from studio.ports import Studio

QUICK = DispatcherArgs(
    cpus=8, max_running=8, lease_s=1.0, poll_s=0.05, start_s=5, grace_s=0.5, drain_s=5
)
SOON = RetryPolicy(first_s=0.02, longest_s=0.1, max_crashes=3)


class InlineExecution:
    """An attempt as a task of this event loop; `kill` cancels it."""

    def __init__(self, task: asyncio.Task[None], attempt: JobAttempt) -> None:
        self._task = task
        self.attempt = attempt

    async def wait(self) -> bool:
        await asyncio.wait({self._task})
        return not self._task.cancelled()

    def kill(self) -> None:
        self._task.cancel()


class InlineExecutor:
    """Starts attempts as tasks; no worker takes over the leases, so the dispatcher renews them."""

    def __init__(self, studio: Studio, policy: RetryPolicy = SOON) -> None:
        self._studio = studio
        self._policy = policy
        self._endings = EndingWriter(studio.database)
        self.started: list[InlineExecution] = []

    def start(self, claim: Claim, handler: Handler) -> InlineExecution:
        attempt = JobAttempt(self._studio.database, claim)
        work = run_claim(self._studio, attempt, handler, self._policy, self._endings)
        execution = InlineExecution(asyncio.create_task(work), attempt)
        self.started.append(execution)
        return execution

    def cancel_all(self) -> None:
        """Stops all attempts, as a lease keeper does for cancelled jobs."""
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
