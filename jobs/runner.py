"""The Ray task `run_job`: one claim in a process of its own, which calls the warm deployments."""

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
"""Connects a worker to the running studio; `deployments` passes it, which is a floor above."""


def run_job(claim: Claim, handler: Handler, open_studio: OpenStudio, policy: RetryPolicy) -> None:
    """Runs one claim; returns when its ending is written or another worker has the job."""

    async def run() -> None:
        async with flushing(configure_logging()), open_studio() as studio:
            keeper = LeaseKeeper(studio.settings.secret("database_url"))
            try:
                await run_leased(studio, claim, handler, policy, keeper)
            finally:
                await asyncio.to_thread(keeper.close)

    asyncio.run(run())


class RayExecution:
    """A Ray task that runs one claim."""

    def __init__(self, ref: Any) -> None:
        self._ref = ref

    async def wait(self) -> bool:
        """Waits until the task ends; False where its process died."""
        try:
            await self._ref
        except RayError:
            return False
        return True

    def kill(self) -> None:
        """Kills the task's process, even in the middle of a call."""
        ray.cancel(self._ref, force=True)


class RayExecutor:
    """Runs claims as Ray tasks, which end with the process that started them."""

    def __init__(self, open_studio: OpenStudio, policy: RetryPolicy) -> None:
        # Ray must not retry a task: it would run the job a second time under the same fence.
        self._task = ray.remote(max_retries=0)(run_job)
        self._arguments = (open_studio, policy)

    def start(self, claim: Claim, handler: Handler) -> RayExecution:
        """Queues the task; the dispatcher has checked that its node has free CPUs."""
        task = self._task.options(name="run_job", num_cpus=handler.num_cpus)
        return RayExecution(task.remote(claim, handler, *self._arguments))
