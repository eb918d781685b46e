"""One at a time, the earliest accepted first, whoever arrives first; bounded."""

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

from errors import Unavailable


class Turns:
    """A queue for work that can't be batched: nobody is overtaken by a later one.

    A job may reach the model after a younger one, because its worker took longer to start; so the
    order is that of acceptance, not of arrival.
    """

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = count()
        self._busy = False

    @property
    def waiting(self) -> int:
        """How many wait or are served now."""
        return len(self._waiting) + self._busy

    @asynccontextmanager
    async def take(self, accepted_s: float) -> AsyncIterator[None]:
        """Inside the block it is this one's turn.

        Raises:
            Unavailable: too many wait already.
        """
        if self._busy:
            await self._wait(accepted_s)
        self._busy = True
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, accepted_s: float) -> None:
        if len(self._waiting) >= self._max_waiting:
            raise Unavailable(f"{self._max_waiting} try-ons wait already")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (accepted_s, next(self._numbers), future)
        heapq.heappush(self._waiting, entry)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._pass_on()  # the turn came at the moment of leaving
            else:
                self._waiting.remove(entry)
                heapq.heapify(self._waiting)
            raise

    def _pass_on(self) -> None:
        """Stays busy where somebody waits, so that no newcomer slips in between."""
        if self._waiting:
            heapq.heappop(self._waiting)[2].set_result(None)
        else:
            self._busy = False
