"""Threads for work on callers' pictures: a few, so that everybody else's threads stay free."""

from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from integrations.shares import Shares
from studio.context import current_caller

THREADS = 4
THREADS_EACH = 3
MAX_WAITING = 64
MAX_WAITING_EACH = 16
MAX_WAITING_A_NETWORK = 32

Result = TypeVar("Result")


class PictureThreads:
    """Of one event loop; a caller, and a network, leaves a thread to the others."""

    def __init__(self) -> None:
        self.limiter = anyio.CapacityLimiter(THREADS)
        self.shares = Shares(
            places=THREADS,
            per_owner=THREADS_EACH,
            per_network=THREADS_EACH,
            waiting=MAX_WAITING,
            waiting_per_owner=MAX_WAITING_EACH,
            waiting_per_network=MAX_WAITING_A_NETWORK,
        )


_threads: RunVar[PictureThreads] = RunVar("picture_threads")


async def run_on_picture(work: Callable[[], Result]) -> Result:
    """What `work` returns, from one of the threads of this event loop.

    Raises:
        OwnerBusy, AllBusy: too many pictures, of this caller or in all, wait for a thread already.
    """
    try:
        threads = _threads.get()
    except LookupError:
        threads = PictureThreads()
        _threads.set(threads)
    async with threads.shares.place(current_caller()):
        return await anyio.to_thread.run_sync(work, limiter=threads.limiter)
