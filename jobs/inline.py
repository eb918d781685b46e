"""An executor that runs jobs in the dispatcher's process: for tests and benchmarks."""

import asyncio

from errors import CancelRequested
from jobs.attempt import JobAttempt, run_claim
from jobs.claim import Claim
from jobs.finishing import EndingWriter
from jobs.handler import Handler
from jobs.retry import RetryPolicy
from studio.ports import Studio


class InlineExecution:
    """An attempt as a task of this event loop; `kill` cancels it."""

    def __init__(self, task: asyncio.Task[None], attempt: JobAttempt) -> None:
        self._task = task
        self.attempt = attempt

    async def wait(self) -> bool:
        """Waits for the attempt's end; False when it was killed."""
        await asyncio.wait({self._task})
        return not self._task.cancelled()

    def kill(self) -> None:
        """Cancels the attempt."""
        self._task.cancel()


class InlineExecutor:
    """Starts attempts as tasks; no worker takes over the leases, so the dispatcher renews them."""

    def __init__(self, studio: Studio, policy: RetryPolicy) -> None:
        self._studio = studio
        self._policy = policy
        self._endings = EndingWriter(studio.database)
        self.started: list[InlineExecution] = []

    def start(self, claim: Claim, handler: Handler) -> InlineExecution:
        """Runs the claimed job as a task."""
        attempt = JobAttempt(self._studio.database, claim)
        work = run_claim(self._studio, attempt, handler, self._policy, self._endings)
        execution = InlineExecution(asyncio.create_task(work), attempt)
        self.started.append(execution)
        return execution

    def cancel_all(self) -> None:
        """Stops all attempts, as a lease keeper does for cancelled jobs."""
        for execution in self.started:
            execution.attempt.stop(CancelRequested("cancelled"))
