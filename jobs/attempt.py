"""One attempt of a job: its handler, what the handler may do, and the fenced end."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db.engine import AsyncSession, Database
from db.job_claims import is_fenced, renew_leases, report_progress
from db.jobs import list_events
from db.tables import ROLES
from db.users import get_user
from errors import CancelRequested, Forbidden, JobStopped, StudioError, Superseded, Unavailable
from jobs.claim import Claim
from jobs.finishing import PAUSES_S, Ending, Ledger
from jobs.handler import Handler
from jobs.lease import LeaseKeeper
from jobs.retry import LATE, RetryPolicy, reason
from studio.context import OFFLINE, Origin, continuing, span
from studio.job_types import Outcome
from studio.ports import Studio

UNWIND_S = 5.0
"""How long a handler that is told to end may take to give back what it holds."""

log = structlog.get_logger("studio.jobs")


class DeadlineOver(Exception):
    """The attempt took longer than its type allows."""


class Attempt:
    """`studio.job_types.JobRun` over a claim."""

    def __init__(self, database: Database, claim: Claim) -> None:
        self.job_id = claim.id
        self.owner_id = claim.owner_id
        self.payload = claim.payload
        self.done = claim.done
        self.claim = claim
        self.touch: Callable[[], None] = lambda: None
        self._database = database
        self._task: asyncio.Task[Outcome] | None = None
        self._stopped: JobStopped | None = None

    async def progress(self, done: int, total: int, message: str, **details: Any) -> None:
        """See `JobRun.progress`."""
        told = {"done": done, "total": total, "message": message} | details
        async with self._database.transaction() as session:
            to_stop = await report_progress(session, self.job_id, self.claim.fence, told)
        if to_stop is None:
            raise Superseded("another worker has this job")
        if to_stop:
            raise CancelRequested("the job was cancelled")
        self.touch()

    async def past(self) -> Sequence[dict[str, Any]]:
        """See `JobRun.past`."""
        told: list[dict[str, Any]] = []
        after = 0
        while True:
            async with self._database.transaction() as session:
                page = await list_events(session, self.job_id, after=after)
            if not page:
                return told
            told += [event.progress for event in page]
            after = page[-1].id or 0

    async def guard(self, session: AsyncSession) -> None:
        """See `JobRun.guard`."""
        if await is_fenced(session, self.job_id, self.claim.fence):
            raise Superseded("another worker has this job")

    async def perform(self, studio: Studio, handler: Handler) -> Outcome:
        """The handler's outcome.

        Raises:
            JobStopped: `stop` was called, or the handler was told so.
            DeadlineOver: the handler took too long.
        """
        if self._stopped is not None:
            raise self._stopped
        work = handler.run(studio, self)
        self._task = asyncio.get_running_loop().create_task(work, name="handler")
        try:
            done, _ = await asyncio.wait({self._task}, timeout=self.claim.deadline_s)
        except asyncio.CancelledError:
            self._task.cancel()
            raise
        if not done:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=UNWIND_S)
            raise DeadlineOver
        if self._stopped is not None and (self._task.cancelled() or self._task.exception()):
            raise self._stopped  # whatever the handler made of being interrupted
        return self._task.result()

    def stop(self, why: JobStopped) -> None:
        """Ends the handler at its next await; only in the attempt's own event loop."""
        if self._stopped is None:
            self._stopped = why
            if self._task is not None:
                self._task.cancel()


async def run_leased(
    studio: Studio, claim: Claim, handler: Handler, policy: RetryPolicy, keeper: LeaseKeeper
) -> None:
    """Takes the lease over from the dispatcher, keeps it, and runs the claim under it."""
    attempt = Attempt(studio.database, claim)
    loop = asyncio.get_running_loop()

    def stop(why: JobStopped) -> None:
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(attempt.stop, why)

    if not await take_over(studio, claim, keeper.worker):
        return
    with keeper.keep(claim, stop, handler.stall_s) as held:
        attempt.touch = held.touch
        await run_claim(studio, attempt, handler, policy, Ledger(studio.database))


async def take_over(studio: Studio, claim: Claim, worker: str) -> bool:
    """Whether the job is still ours, now under this worker's lease."""
    async with studio.database.transaction() as session:
        rows = await renew_leases(session, [claim.held], owner=worker, lease_s=claim.lease_s)
    return bool(rows)


async def run_claim(
    studio: Studio,
    attempt: Attempt,
    handler: Handler,
    policy: RetryPolicy,
    ledger: Ledger,
) -> None:
    """Runs the handler and writes what became of it; a job of another worker is left alone."""
    claim = attempt.claim
    origin = Origin(claim.request_id or OFFLINE, claim.traceparent)
    with continuing(origin), span(f"job {claim.type}", job_id=str(claim.id)):
        told = log.bind(job_id=str(claim.id), type=claim.type, attempt=claim.attempts)
        try:
            ending = await _ending_of(studio, attempt, handler, policy, told)
            try:
                await _persist(ledger, claim, ending)
            except Exception as error:  # its record could not be written, so it has not succeeded
                if isinstance(error, JobStopped):
                    raise
                ending = _judge(error, claim, policy, told)
                await _persist(ledger, claim, ending)
        except Superseded as stopped:
            told.warning("job.superseded", reason=stopped.detail)
            return
        told.info("job.ended", state=ending.state, error=ending.error)
        if ending.state in {"succeeded", "cancelled"} and handler.after is not None:
            with suppress(StudioError, SQLAlchemyError):
                await handler.after(studio, attempt)


async def _ending_of(
    studio: Studio, attempt: Attempt, handler: Handler, policy: RetryPolicy, told: Any
) -> Ending:
    """Raises:
    Superseded: another worker has the job, so there is nothing to write.
    """
    try:
        await require_role(studio.database, attempt.owner_id, handler.role)
        outcome = await attempt.perform(studio, handler)
    except Superseded:
        raise
    except CancelRequested:
        return Ending("cancelled")
    except DeadlineOver:
        return Ending("failed", error=LATE)
    except Exception as error:
        return _judge(error, attempt.claim, policy, told)
    return Ending("succeeded", result=outcome.result, record=outcome.record)


async def require_role(database: Database, owner_id: UUID | None, role: str | None) -> None:
    """Every attempt asks for the rights that the job's owner has now, retries and `runAt` too.

    Raises:
        Forbidden: the account is gone, or its role no longer allows such jobs.
    """
    if owner_id is None or role is None:
        return
    async with database.read() as session:
        owner = await get_user(session, owner_id)
    if owner is None or ROLES.index(owner.role) < ROLES.index(role):
        raise Forbidden("the job's owner may not run such jobs any more")


def _judge(error: Exception, claim: Claim, policy: RetryPolicy, told: Any) -> Ending:
    """Again, or a dead letter."""
    if not isinstance(error, StudioError):
        told.error("job.error", exc_info=error)
    delay_s = policy.after_error(error, claim.attempts, claim.max_attempts)
    if delay_s is None:
        return Ending("failed", error=reason(error))
    return Ending("queued", error=reason(error), delay_s=delay_s)


async def _persist(ledger: Ledger, claim: Claim, ending: Ending) -> None:
    """As `Ledger.write`; waits for a database that is away, because the work is done."""
    for pause_s in (*PAUSES_S, None):
        try:
            await ledger.write(claim, ending)
            return
        except Unavailable:
            if pause_s is None:
                raise
            await asyncio.sleep(pause_s)
