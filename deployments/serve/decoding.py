"""Threads that decode foreign pictures, watched by the health check of their deployment."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

MOST_S = 20.0
"""Ten times what a picture at the bounds of `models.bounds` takes on a busy machine."""


class Decoders:
    """A pool whose threads can be asked for how long they have been at one picture.

    A thread can't be interrupted, so a decoder that hangs is only freed with its process.
    """

    def __init__(self, threads: int, *, most_s: float | None = None, name: str = "decode") -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._most_s = MOST_S if most_s is None else most_s
        self._starts: dict[int, float] = {}

    async def run(self, work: Callable[..., Result], *args: object) -> Result:
        """`work(*args)` in one of the threads."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._run_watched, work, args)

    def check(self) -> None:
        """Raises:
        RuntimeError: a thread has been at one picture for too long.
        """
        now_s = time.monotonic()
        longest_s = max((now_s - start_s for start_s in [*self._starts.values()]), default=0.0)
        if longest_s > self._most_s:
            raise RuntimeError(
                f"a decoder has been at one picture for {longest_s:.1f} s; "
                f"at most {self._most_s:g} s are expected"
            )

    def _run_watched(self, work: Callable[..., Result], args: tuple[object, ...]) -> Result:
        thread = threading.get_ident()
        self._starts[thread] = time.monotonic()
        try:
            return work(*args)
        finally:
            del self._starts[thread]
