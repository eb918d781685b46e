"""Tasks that run as long as their process; they are restarted when they fail."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import structlog

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
MOST_FAILURES = 3
WITHIN_S = 3600.0

Work = Callable[[], Coroutine[Any, Any, None]]

log = structlog.get_logger("studio.background")


@dataclass
class Supervised:
    """Work that runs until it is cancelled, its current task, and the times of its failures."""

    name: str
    work: Work
    task: asyncio.Task[None] | None = None
    failures: list[float] = field(default_factory=list)

    @property
    def failures_of_late(self) -> int:
        """How often the work has failed in the last `WITHIN_S` seconds."""
        since_s = time.monotonic() - WITHIN_S
        return sum(failure_s > since_s for failure_s in self.failures)


class Background:
    """The background tasks of one process.

    `start` runs work that is restarted after it fails or is cancelled, after a pause that doubles
    each time. `watch` only observes a task that was started elsewhere. `check` raises if work keeps
    failing or has ended, so that the process is replaced.
    """

    def __init__(self, *, first_pause_s: float | None = None) -> None:
        """No task runs before `start`."""
        self._first_pause_s = FIRST_PAUSE_S if first_pause_s is None else first_pause_s
        self._supervised: list[Supervised] = []
        self._supervisors: list[asyncio.Task[None]] = []
        self._watched: dict[str, Callable[[], bool]] = {}

    def start(self, name: str, work: Work) -> None:
        """Runs `work()`, and again after each failure, until `aclose`."""
        supervised = Supervised(name, work)
        self._supervised.append(supervised)
        supervisor = asyncio.get_running_loop().create_task(self._supervise(supervised), name=name)
        self._supervisors.append(supervisor)
        self.watch(name, lambda: not supervisor.done())

    def watch(self, name: str, is_alive: Callable[[], bool]) -> None:
        """Adds a task that was started elsewhere to `check`."""
        self._watched[name] = is_alive

    @property
    def tasks(self) -> dict[str, "asyncio.Task[None] | None"]:
        """The current task of each piece of work that was started here."""
        return {supervised.name: supervised.task for supervised in self._supervised}

    @property
    def failures(self) -> list[str]:
        """The names of tasks that have ended, or have failed in the last hour."""
        failed = {supervised.name for supervised in self._supervised if supervised.failures_of_late}
        return sorted(failed | {name for name, is_alive in self._watched.items() if not is_alive()})

    def check(self) -> None:
        """Checks that every task runs.

        Raises:
            RuntimeError: a task has ended, or keeps failing.
        """
        for name, is_alive in self._watched.items():
            if not is_alive():
                raise RuntimeError(f"the background task {name} has ended")
        for supervised in self._supervised:
            if supervised.failures_of_late >= MOST_FAILURES:
                raise RuntimeError(f"the background task {supervised.name} keeps failing")

    async def aclose(self) -> None:
        """Cancels the tasks that were started here, and waits until they have ended."""
        for supervisor in self._supervisors:
            supervisor.cancel()
        await asyncio.gather(*self._supervisors, return_exceptions=True)

    async def _supervise(self, supervised: Supervised) -> None:
        while True:
            await self._run_once(supervised)
            doubled_s = self._first_pause_s * 2.0 ** (supervised.failures_of_late - 1)
            await asyncio.sleep(min(LONGEST_PAUSE_S, doubled_s))

    async def _run_once(self, supervised: Supervised) -> None:
        loop = asyncio.get_running_loop()
        supervised.task = loop.create_task(supervised.work(), name=supervised.name)
        try:
            await asyncio.wait({supervised.task})
        finally:
            if not supervised.task.done():
                supervised.task.cancel()
                await asyncio.wait({supervised.task})
        error = None if supervised.task.cancelled() else supervised.task.exception()
        supervised.failures = [*supervised.failures[1 - MOST_FAILURES :], time.monotonic()]
        task_name = supervised.name  # not a person's: tests/studio/telemetry/test_log_lines.py
        log.error("background.failed", task=task_name, exc_info=error)
