"""Threads that decode callers' pictures; the health check of their deployment watches them."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from deployments.serve.watched_threads import WatchedThreads

Result = TypeVar("Result")

MOST_S = 20.0
"""Ten times as long as the largest accepted picture takes on a busy machine."""


class Decoders:
    """A thread pool that notices when a thread is stuck at one picture."""

    def __init__(self, threads: int, *, most_s: float | None = None, name: str = "decode") -> None:
        least_s = MOST_S if most_s is None else most_s
        self._threads = WatchedThreads(threads, name, "picture", least_s=least_s)

    async def run(self, work: Callable[..., Result], *args: object) -> Result:
        """Runs `work(*args)` in one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)

    def check(self) -> None:
        """Checks that no thread is stuck.

        Raises:
            RuntimeError: a thread has been decoding one picture for too long.
        """
        self._threads.check()
