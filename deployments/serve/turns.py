"""A bounded queue for a few requests at a time; owners take turns, each in order of acceptance."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count

from errors import Unavailable

MOST_WAITING_EACH = 2
"""How many direct requests of one owner may wait; one network may fill half of the queue."""
MOST_REMEMBERED = 1024
"""The number of owners and networks whose last turns are remembered."""


@dataclass(eq=False)
class QueueEntry:
    """A request that waits for its turn.

    network: where the request came from; empty for a job, whose number the job queue bounds.
    """

    accepted_s: float
    owner: str
    network: str
    turn: asyncio.Future[None]


class Turns:
    """A queue for long work; `at_once` requests have their turn at a time.

    The next turn goes to the owner whose last turn is the longest ago; accounts of one network
    share their turns. An owner's requests are served in the order in which they were accepted, not
    in the order of arrival: an older job may arrive later because its worker started slowly.
    """

    def __init__(self, max_waiting: int, at_once: int = 1) -> None:
        self._max_waiting = max_waiting
        self._at_once = at_once
        self._waiting: list[QueueEntry] = []
        self._numbers = count(1)
        self._served: dict[str, int] = {}
        self._running = 0

    @property
    def waiting(self) -> int:
        """How many requests wait or are being served."""
        return len(self._waiting) + self._running

    @asynccontextmanager
    async def take(
        self, accepted_s: float, owner: str = "", network: str = ""
    ) -> AsyncIterator[None]:
        """Waits for the turn of a request, which lasts as long as the block.

        Raises:
            Unavailable: too many try-ons of this owner, of its network or of all owners wait.
        """
        if self._running >= self._at_once:
            await self._wait(accepted_s, owner, network)
        else:
            self._begin(owner, network)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, accepted_s: float, owner: str, network: str) -> None:
        self._refuse_if_full(owner, network)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = QueueEntry(accepted_s, owner, network, future)
        self._waiting.append(waiter)
        try:
            await future
        except asyncio.CancelledError:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            else:
                self._pass_on()  # the request got its turn just before the cancellation
            raise

    def _refuse_if_full(self, owner: str, network: str) -> None:
        if len(self._waiting) >= self._max_waiting:
            raise Unavailable(f"{self._max_waiting} try-ons are waiting already")
        if not network:
            return
        own = sum(waiter.owner == owner for waiter in self._waiting)
        near = sum(waiter.network == network for waiter in self._waiting)
        if own >= MOST_WAITING_EACH or near >= max(1, self._max_waiting // 2):
            raise Unavailable("too many of your try-ons are waiting already")

    def _pass_on(self) -> None:
        """Starts the next turn in place of one that ends, so that no new request goes first."""
        self._running -= 1
        if self._waiting:
            next_waiter = min(self._waiting, key=self._place)
            self._waiting.remove(next_waiter)
            self._begin(next_waiter.owner, next_waiter.network)
            next_waiter.turn.set_result(None)

    def _place(self, waiter: QueueEntry) -> tuple[int, int, float]:
        own, near = (self._served.get(name, 0) for name in (waiter.owner, waiter.network))
        return max(own, near), own, waiter.accepted_s

    def _begin(self, owner: str, network: str) -> None:
        self._running += 1
        number = next(self._numbers)
        for name in filter(None, (owner, network)):
            self._served.pop(name, None)  # so that the dictionary's order is that of the last turns
            self._served[name] = number
        while len(self._served) > MOST_REMEMBERED:
            del self._served[next(iter(self._served))]
