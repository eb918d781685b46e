"""A few threads for work on pictures, so that it can't occupy the threads of other work."""

from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from integrations.fair_semaphore import FairSemaphore
from studio.context import current_caller

THREADS = 4
THREADS_EACH = 3
MAX_WAITING = 64
MAX_WAITING_EACH = 16
MAX_WAITING_A_NETWORK = 32

Result = TypeVar("Result")


class PictureThreads:
    """The threads of one event loop; no caller and no network can occupy all of them."""

    def __init__(self) -> None:
        self.limiter = anyio.CapacityLimiter(THREADS)
        self.shares = FairSemaphore(
            places=THREADS,
            per_owner=THREADS_EACH,
            per_network=THREADS_EACH,
            waiting=MAX_WAITING,
            waiting_per_owner=MAX_WAITING_EACH,
            waiting_per_network=MAX_WAITING_A_NETWORK,
        )


_threads: RunVar[PictureThreads] = RunVar("picture_threads")


async def run_on_picture(work: Callable[[], Result]) -> Result:
    """Runs `work` in one of the threads of this event loop and returns its result.

    Raises:
        OwnerBusy, AllBusy: too many pictures, of this caller or of all, wait for a thread.
    """
    try:
        threads = _threads.get()
    except LookupError:
        threads = PictureThreads()
        _threads.set(threads)
    async with threads.shares.place(current_caller()):
        return await anyio.to_thread.run_sync(work, limiter=threads.limiter)
