"""One attempt of a job: it runs the handler under the claim's lease and writes its ending."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db.engine import AsyncSession, Database
from db.job_claims import has_lost_claim, renew_leases, report_progress
from db.jobs import list_events
from db.tables import ROLES, Role
from db.users import get_user
from errors import CancelRequested, Forbidden, JobStopped, StudioError, Superseded
from jobs.claim import Claim
from jobs.finishing import Ending, EndingWriter
from jobs.handler import Handler
from jobs.lease import LeaseKeeper
from jobs.retry import LATE, RetryPolicy, reason
from studio.context import OFFLINE, Origin, continuing, span
from studio.job_types import Outcome
from studio.ports import Studio

UNWIND_S = 5.0
"""How long a cancelled handler may take to release its resources."""

log = structlog.get_logger("studio.jobs")


class DeadlineOver(Exception):
    """The attempt took longer than its job type allows."""


class JobAttempt:
    """The `studio.job_types.JobRun` of a claim; created in the event loop that runs the handler."""

    def __init__(self, database: Database, claim: Claim) -> None:
        self.job_id = claim.id
        self.owner_id = claim.owner_id
        self.payload = claim.payload
        self.done = claim.done
        self.claim = claim
        self.progress_s = time.monotonic()
        self._database = database
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[Outcome] | None = None
        self._stop_reason: JobStopped | None = None

    async def progress(self, done: int, total: int, message: str, **details: Any) -> None:
        """Stores the progress, which shows the lease keeper that the attempt is not stalled.

        Raises:
            JobStopped: another worker has the job, or its owner has cancelled it.
        """
        document = {"done": done, "total": total, "message": message} | details
        async with self._database.transaction() as session:
            is_cancelled = await report_progress(session, self.job_id, self.claim.fence, document)
        if is_cancelled is None:
            raise Superseded("another worker has this job")
        if is_cancelled:
            raise CancelRequested("the job was cancelled")
        self.progress_s = time.monotonic()

    async def past(self) -> Sequence[dict[str, Any]]:
        """Reads the progress of all attempts so far, oldest first."""
        reports: list[dict[str, Any]] = []
        after = 0
        while True:
            async with self._database.transaction() as session:
                page = await list_events(session, self.job_id, after=after)
            if not page:
                return reports
            reports += [event.progress for event in page]
            after = page[-1].id or 0

    async def guard(self, session: AsyncSession) -> None:
        """Lets the transaction commit only while this attempt has the job.

        Raises:
            Superseded: another worker has the job.
        """
        if await has_lost_claim(session, self.job_id, self.claim.fence):
            raise Superseded("another worker has this job")

    async def run(self, studio: Studio, handler: Handler) -> Outcome:
        """Runs the handler until it returns, fails, is stopped or exceeds its deadline.

        Raises:
            JobStopped: `stop` was called, or the handler raised it.
            DeadlineOver: the handler took longer than its deadline.
        """
        if self._stop_reason is not None:
            raise self._stop_reason
        self._task = self._loop.create_task(handler.run(studio, self), name="handler")
        try:
            done, _ = await asyncio.wait({self._task}, timeout=self.claim.deadline_s)
        except asyncio.CancelledError:
            self._task.cancel()
            raise
        if not done:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=UNWIND_S)
            raise DeadlineOver
        if self._stop_reason is not None and (self._task.cancelled() or self._task.exception()):
            raise self._stop_reason  # the handler may have turned the cancellation into an error
        return self._task.result()

    def stop(self, reason: JobStopped) -> None:
        """Cancels the handler at its next await; call it in the attempt's own event loop."""
        if self._stop_reason is None:
            self._stop_reason = reason
            if self._task is not None:
                self._task.cancel()

    def stop_soon(self, reason: JobStopped) -> None:
        """Like `stop`, from any thread."""
        with suppress(RuntimeError):  # the loop is already closed
            self._loop.call_soon_threadsafe(self.stop, reason)


async def run_leased(
    studio: Studio, claim: Claim, handler: Handler, policy: RetryPolicy, keeper: LeaseKeeper
) -> None:
    """Takes over the lease from the dispatcher, and runs the job while the lease is renewed."""
    if not await take_over(studio.database, claim, keeper.worker):
        return
    attempt = JobAttempt(studio.database, claim)
    with keeper.keep(attempt, handler.stall_s):
        await run_claim(studio, attempt, handler, policy, EndingWriter(studio.database))


async def take_over(database: Database, claim: Claim, worker: str) -> bool:
    """Transfers the job's lease to this worker. Returns False if the claim is lost."""
    async with database.transaction() as session:
        rows = await renew_leases(session, [claim.row], owner=worker, lease_s=claim.lease_s)
    return bool(rows)


async def run_claim(
    studio: Studio,
    attempt: JobAttempt,
    handler: Handler,
    policy: RetryPolicy,
    endings: EndingWriter,
) -> None:
    """Runs the handler and writes the ending; writes nothing if another worker has the job."""
    claim = attempt.claim
    origin = Origin(claim.request_id or OFFLINE, claim.traceparent)
    with continuing(origin), span(f"job {claim.type}", job_id=str(claim.id)):
        logger = log.bind(job_id=str(claim.id), type=claim.type, attempt=claim.attempts)
        try:
            ending = await _run_handler(studio, attempt, handler, policy, logger)
            try:
                await endings.write_patiently(claim, ending)
            except Exception as error:  # a job whose `record` failed has not succeeded
                if isinstance(error, JobStopped):
                    raise
                ending = _ending_after(error, claim, policy, logger)
                await endings.write_patiently(claim, ending)
        except Superseded as stopped:
            logger.warning("job.superseded", reason=stopped.detail)
            return
        logger.info("job.ended", state=ending.state, error=ending.error)
        if ending.state in {"succeeded", "cancelled"} and handler.after is not None:
            with suppress(StudioError, SQLAlchemyError):
                await handler.after(studio, attempt)


async def _run_handler(
    studio: Studio, attempt: JobAttempt, handler: Handler, policy: RetryPolicy, logger: Any
) -> Ending:
    """Runs the handler; its result or its error becomes the ending.

    Raises:
        Superseded: another worker has the job, so there is nothing to write.
    """
    try:
        await require_role(studio.database, attempt.owner_id, handler.job_type.role)
        outcome = await attempt.run(studio, handler)
    except Superseded:
        raise
    except CancelRequested:
        return Ending("cancelled")
    except DeadlineOver:
        return Ending("failed", error=LATE)
    except Exception as error:
        return _ending_after(error, attempt.claim, policy, logger)
    if outcome.error is not None:
        return Ending("failed", result=outcome.result, error=outcome.error)
    return Ending("succeeded", result=outcome.result, record=outcome.record)


async def require_role(database: Database, owner_id: UUID | None, role: Role) -> None:
    """Checks that the job's owner has the role now; every attempt checks it again.

    Raises:
        Forbidden: the account is deleted, or its role no longer allows such jobs.
    """
    if owner_id is None:
        return
    async with database.read() as session:
        owner = await get_user(session, owner_id)
    if owner is None or ROLES.index(owner.role) < ROLES.index(role):
        raise Forbidden("the job's owner may not run such jobs any more")


def _ending_after(error: Exception, claim: Claim, policy: RetryPolicy, logger: Any) -> Ending:
    """Queues the job again, or turns it into a dead letter, as the policy decides."""
    if not isinstance(error, StudioError):
        logger.error("job.error", exc_info=error)
    delay_s = policy.after_error(error, claim.attempts, claim.max_attempts)
    if delay_s is None:
        return Ending("failed", error=reason(error))
    return Ending("queued", error=reason(error), delay_s=delay_s)
