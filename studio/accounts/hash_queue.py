"""A bounded queue for slow password hashes, which run in a few threads; sign-ins go first."""

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import IntEnum
from itertools import count
from typing import TypeVar

import anyio
import anyio.to_thread

from errors import Unavailable

Result = TypeVar("Result")
QueueEntry = tuple[int, int, asyncio.Future[None]]


class Rank(IntEnum):
    """The priority in the queue; the lower rank goes first."""

    SIGN_IN = 0
    REGISTRATION = 1


class HashQueue:
    """The queue of one event loop: `places` hashes run, and at most `most_waiting` wait."""

    def __init__(self, *, places: int, most_waiting: int) -> None:
        self._limiter = anyio.CapacityLimiter(places)
        self._free = places
        self._most_waiting = most_waiting
        self._waiting: list[QueueEntry] = []
        self._numbers = count()

    @property
    def waiting(self) -> int:
        """The number of calls that wait for a place."""
        return len(self._waiting)

    async def run(self, work: Callable[[], Result], rank: Rank) -> Result:
        """Runs the work in a thread and returns its result.

        Raises:
            Unavailable: the queue is full.
        """
        async with self._place(rank):
            return await anyio.to_thread.run_sync(work, limiter=self._limiter)

    @asynccontextmanager
    async def _place(self, rank: Rank) -> AsyncIterator[None]:
        if self._free:
            self._free -= 1
        else:
            await self._wait(rank)
        try:
            yield
        finally:
            self._hand_on()

    async def _wait(self, rank: Rank) -> None:
        if len(self._waiting) >= self._most_waiting:
            self._make_room(rank)
        place = asyncio.get_running_loop().create_future()
        waiter = (rank, next(self._numbers), place)
        heapq.heappush(self._waiting, waiter)
        try:
            await place
        except asyncio.CancelledError:
            if waiter in self._waiting:
                self._remove(waiter)
            elif not place.cancelled() and place.exception() is None:
                self._hand_on()  # the call got a place just before it was cancelled
            raise

    def _make_room(self, rank: Rank) -> None:
        """Removes the newest entry of a lower priority.

        Raises:
            Unavailable: there is no such entry, so the new call is refused.
        """
        last = max(self._waiting)
        if last[0] <= rank:
            raise Unavailable("too many passwords are being checked; try again in a moment")
        self._remove(last)
        last[2].set_exception(Unavailable("sign-ins go first; try again in a moment"))

    def _remove(self, waiter: QueueEntry) -> None:
        self._waiting.remove(waiter)
        heapq.heapify(self._waiting)

    def _hand_on(self) -> None:
        """Gives the place to the first entry of the queue."""
        while self._waiting:
            place = heapq.heappop(self._waiting)[2]
            if not place.done():
                place.set_result(None)
                return
        self._free += 1
