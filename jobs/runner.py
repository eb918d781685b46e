"""The Ray task `run_job`: one claim in a process of its own, beside warm deployments."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

import ray
from ray.exceptions import RayError

from db.job_claims import renew_leases
from errors import JobStopped
from jobs.attempt import Attempt, run_claim
from jobs.claim import Claim
from jobs.handlers import HANDLERS, Handler
from jobs.lease import LeaseKeeper
from jobs.ledger import Ledger
from jobs.retry import RetryPolicy
from studio.logs import configure_logging
from studio.ports import Studio

OpenStudio = Callable[[], AbstractAsyncContextManager[Studio]]
"""How a worker reaches the running studio; given from above, because deployments are there."""


def run_job(claim: Claim, open_studio: OpenStudio, policy: RetryPolicy) -> None:
    """What Ray runs; it returns when the claim's end is written, or is another's to write."""
    logs = configure_logging()
    try:
        asyncio.run(_run_in(claim, open_studio, policy))
    finally:
        logs.flush()


async def _run_in(claim: Claim, open_studio: OpenStudio, policy: RetryPolicy) -> None:
    async with open_studio() as studio:
        keeper = LeaseKeeper(studio.settings.required("database_url"))
        try:
            await run_leased(studio, claim, HANDLERS[claim.type], policy, keeper)
        finally:
            await asyncio.to_thread(keeper.close)


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


class RayExecution:
    """A started task."""

    def __init__(self, ref: Any) -> None:
        self._ref = ref

    async def wait(self) -> bool:
        """Until the task has ended; False where it died."""
        try:
            await self._ref
        except RayError:
            return False
        return True

    def kill(self) -> None:
        """Ends its process, whatever it is doing."""
        ray.cancel(self._ref, force=True)


class RayExecutor:
    """Runs claims as Ray tasks; they end with the process that started them."""

    def __init__(self, open_studio: OpenStudio, policy: RetryPolicy) -> None:
        # No retries of Ray's own: it would run the job again under the same fence.
        self._task = ray.remote(max_retries=0)(run_job)
        self._arguments = (open_studio, policy)

    def start(self, claim: Claim, handler: Handler) -> RayExecution:
        """Queues the task; the dispatcher has counted that its node has room."""
        task = self._task.options(name="run_job", num_cpus=handler.num_cpus)
        return RayExecution(task.remote(claim, *self._arguments))
