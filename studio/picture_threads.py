"""Threads for work on callers' pictures: a few, so that everybody else's threads stay free."""

from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from integrations.shares import AllBusy

THREADS = 4
MAX_WAITING = 64

Result = TypeVar("Result")
_limiter: RunVar[anyio.CapacityLimiter] = RunVar("picture_limiter")


async def run_on_picture(work: Callable[[], Result]) -> Result:
    """What `work` returns, from one of the threads of this event loop.

    Raises:
        AllBusy: too many pictures wait for a thread already.
    """
    try:
        limiter = _limiter.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(THREADS)
        _limiter.set(limiter)
    if limiter.statistics().tasks_waiting >= MAX_WAITING:
        raise AllBusy("too many pictures are being decoded already")
    return await anyio.to_thread.run_sync(work, limiter=limiter)
