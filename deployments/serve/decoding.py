"""Threads that decode callers' pictures; the health check of their deployment watches them."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

MOST_S = 20.0
"""Ten times as long as the largest accepted picture takes on a busy machine."""


class Decoders:
    """A thread pool that notices when a thread is stuck at one picture.

    A thread can't be interrupted: one that hangs ends only with its process.
    """

    def __init__(self, threads: int, *, most_s: float | None = None, name: str = "decode") -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._most_s = MOST_S if most_s is None else most_s
        self._starts: dict[int, float] = {}

    async def run(self, work: Callable[..., Result], *args: object) -> Result:
        """Runs `work(*args)` in one of the threads."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._run_watched, work, args)

    def check(self) -> None:
        """Checks that no thread is stuck.

        Raises:
            RuntimeError: a thread has been decoding one picture for too long.
        """
        now_s = time.monotonic()
        longest_s = max((now_s - start_s for start_s in [*self._starts.values()]), default=0.0)
        if longest_s > self._most_s:
            raise RuntimeError(
                f"a decoder has worked on one picture for {longest_s:.1f} s; "
                f"at most {self._most_s:g} s are expected"
            )

    def _run_watched(self, work: Callable[..., Result], args: tuple[object, ...]) -> Result:
        thread = threading.get_ident()
        self._starts[thread] = time.monotonic()
        try:
            return work(*args)
        finally:
            del self._starts[thread]
