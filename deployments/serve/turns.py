"""One at a time, owners in turn, of each the earliest accepted first; bounded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count

from errors import Unavailable

MOST_WAITING_EACH = 2
"""Of an owner who isn't answered by a job; one network has half of the queue."""
MOST_REMEMBERED = 1024


@dataclass(eq=False)
class QueueEntry:
    """Somebody whose turn has not come.

    network: where a request came from; empty for a job, which the queue of jobs has bounded.
    """

    accepted_s: float
    owner: str
    network: str
    turn: asyncio.Future[None]


class Turns:
    """A queue for work that can't be batched.

    The next turn is of the owner whose last one is the longest ago; accounts of one network count
    as one there. A job may reach the model after a younger one, because its worker took longer to
    start; so the order of one owner's is that of acceptance, not of arrival.
    """

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._waiting: list[QueueEntry] = []
        self._numbers = count(1)
        self._served: dict[str, int] = {}
        self._busy = False

    @property
    def waiting(self) -> int:
        """How many wait or are served now."""
        return len(self._waiting) + self._busy

    @asynccontextmanager
    async def take(
        self, accepted_s: float, owner: str = "", network: str = ""
    ) -> AsyncIterator[None]:
        """Inside the block it is this one's turn.

        Raises:
            Unavailable: too many wait already, of this owner, of its network, or in all.
        """
        if self._busy:
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
                self._pass_on()  # the turn came at the moment of leaving
            raise

    def _refuse_if_full(self, owner: str, network: str) -> None:
        if len(self._waiting) >= self._max_waiting:
            raise Unavailable(f"{self._max_waiting} try-ons wait already")
        if not network:
            return
        own = sum(waiter.owner == owner for waiter in self._waiting)
        near = sum(waiter.network == network for waiter in self._waiting)
        if own >= MOST_WAITING_EACH or near >= max(1, self._max_waiting // 2):
            raise Unavailable("too many try-ons of yours wait already")

    def _pass_on(self) -> None:
        """Stays busy where somebody waits, so that no newcomer slips in between."""
        self._busy = False
        if self._waiting:
            next_waiter = min(self._waiting, key=self._place)
            self._waiting.remove(next_waiter)
            self._begin(next_waiter.owner, next_waiter.network)
            next_waiter.turn.set_result(None)

    def _place(self, waiter: QueueEntry) -> tuple[int, int, float]:
        own, near = (self._served.get(name, 0) for name in (waiter.owner, waiter.network))
        return max(own, near), own, waiter.accepted_s

    def _begin(self, owner: str, network: str) -> None:
        self._busy = True
        number = next(self._numbers)
        for name in filter(None, (owner, network)):
            self._served.pop(name, None)  # the longest ago comes first
            self._served[name] = number
        while len(self._served) > MOST_REMEMBERED:
            del self._served[next(iter(self._served))]
