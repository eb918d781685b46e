"""The Ray task `run_job`: one claim in a process of its own, beside warm deployments."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import ray
from ray.exceptions import RayError

from jobs.attempt import run_leased
from jobs.claim import Claim
from jobs.handler import Handler
from jobs.lease import LeaseKeeper
from jobs.retry import RetryPolicy
from studio.ports import Studio
from studio.telemetry.logs import configure_logging, flushing

OpenStudio = Callable[[], AbstractAsyncContextManager[Studio]]
"""How a worker reaches the running studio; given from above, because deployments are there."""


def run_job(claim: Claim, handler: Handler, open_studio: OpenStudio, policy: RetryPolicy) -> None:
    """What Ray runs; it returns when the claim's end is written, or is another's to write."""
    asyncio.run(_run_in(claim, handler, open_studio, policy))


async def _run_in(
    claim: Claim, handler: Handler, open_studio: OpenStudio, policy: RetryPolicy
) -> None:
    async with flushing(configure_logging()), open_studio() as studio:
        keeper = LeaseKeeper(studio.settings.required("database_url"))
        try:
            await run_leased(studio, claim, handler, policy, keeper)
        finally:
            await asyncio.to_thread(keeper.close)


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
        return RayExecution(task.remote(claim, handler, *self._arguments))
