"""Places for costly work: a few in all, fewer for each owner, and bounded queues for them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from errors import RateLimited, Unavailable


class OwnerBusy(RateLimited):
    """This owner has as much at work and waiting as anyone may have."""

    retry_after_s = 2


class AllBusy(Unavailable):
    """All places are taken, and as many wait for one as may wait."""

    retry_after_s = 2


@dataclass(eq=False)
class Waiter:
    """Somebody without a place, and what is set when there is one."""

    owner: Hashable
    turn: asyncio.Future[None]


class Shares:
    """A free place goes to the owner with the fewest places, then to whoever came first."""

    def __init__(
        self, *, places: int, per_owner: int, waiting: int = 0, waiting_per_owner: int = 0
    ) -> None:
        self._places = places
        self._per_owner = per_owner
        self._most_waiting = waiting
        self._most_waiting_per_owner = waiting_per_owner
        self._running: Counter[Hashable] = Counter()
        self._waiting: list[Waiter] = []

    @asynccontextmanager
    async def place(self, owner: Hashable) -> AsyncIterator[None]:
        """Waits for a place and keeps it while the block runs.

        Raises:
            OwnerBusy, AllBusy: too much waits already.
        """
        await self._enter(owner)
        try:
            yield
        finally:
            self._leave(owner)

    async def _enter(self, owner: Hashable) -> None:
        if self._has_place(owner):  # whoever waits is over a limit of its own
            self._running[owner] += 1
            return
        self._refuse_if_full(owner)
        waiter = Waiter(owner, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            else:  # it got the place in the same moment
                self._leave(owner)
            raise

    def _has_place(self, owner: Hashable) -> bool:
        return self._running.total() < self._places and self._running[owner] < self._per_owner

    def _refuse_if_full(self, owner: Hashable) -> None:
        own = sum(waiter.owner == owner for waiter in self._waiting)
        if self._running[owner] >= self._per_owner and own >= self._most_waiting_per_owner:
            raise OwnerBusy("too many of your requests of this kind are at work already")
        if len(self._waiting) >= self._most_waiting or own >= self._most_waiting_per_owner:
            raise AllBusy("too many requests of this kind are at work already")

    def _leave(self, owner: Hashable) -> None:
        self._running[owner] -= 1
        if not self._running[owner]:
            del self._running[owner]
        self._admit()

    def _admit(self) -> None:
        while waiting := [each for each in self._waiting if self._has_place(each.owner)]:
            chosen = min(waiting, key=lambda waiter: self._running[waiter.owner])
            self._waiting.remove(chosen)
            self._running[chosen.owner] += 1
            chosen.turn.set_result(None)
