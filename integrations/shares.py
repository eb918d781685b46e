"""Places for costly work: a few in all, fewer for each owner, and bounded queues for them."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

from errors import RateLimited, StudioError, Unavailable

NO_BOUND = sys.maxsize


class OwnerBusy(RateLimited):
    """This owner has as much at work and waiting as anyone may have."""

    retry_after_s = 2


class AllBusy(Unavailable):
    """All places are taken, and as many wait for one as may wait."""

    retry_after_s = 2


def owner_busy() -> StudioError:
    """429."""
    return OwnerBusy("too many of your requests of this kind are at work already")


def all_busy() -> StudioError:
    """503."""
    return AllBusy("too many requests of this kind are at work already")


class Caller(NamedTuple):
    """Who sent a request: an account, or an address without one; and the network it came from.

    Accounts cost nothing, so that what is bounded for an account is bounded for a network as well.
    """

    name: str
    network: str


def network_of(owner: Hashable) -> str | None:
    """Owners of another kind than a `Caller` belong to none."""
    return owner.network if isinstance(owner, Caller) else None


def name_of(owner: Hashable) -> Hashable:
    """What an owner's places are counted by: the account, whatever network it uses."""
    return owner.name if isinstance(owner, Caller) else owner


@dataclass(eq=False)
class Waiter:
    """Somebody without a place, and what is set when there is one."""

    owner: Hashable
    is_patient: bool
    turn: asyncio.Future[None]


class Shares:
    """A free place goes to the network, then to the owner, with the fewest; then by arrival.

    wait_s: nobody waits longer. busy, full: make the errors for an owner who is over its share, and
    for everybody else who gets no place. The owner None, the studio's own work, has no share: only
    the places in all bound it.
    """

    def __init__(
        self,
        *,
        places: int = NO_BOUND,
        per_owner: int = NO_BOUND,
        per_network: int = NO_BOUND,
        waiting: int = 0,
        waiting_per_owner: int = 0,
        waiting_per_network: int = NO_BOUND,
        wait_s: float | None = None,
        busy: Callable[[], StudioError] = owner_busy,
        full: Callable[[], StudioError] = all_busy,
    ) -> None:
        self._places = places
        self._per_owner, self._per_network = per_owner, per_network
        self._most_waiting = waiting
        self._most_waiting_per_owner = waiting_per_owner
        self._most_waiting_per_network = waiting_per_network
        self._wait_s = wait_s
        self._busy, self._full = busy, full
        self._taken = 0
        self._running: Counter[Hashable] = Counter()
        self._by_network: Counter[str | None] = Counter()
        self._waiting: list[Waiter] = []

    @asynccontextmanager
    async def place(self, owner: Hashable, *, is_patient: bool = False) -> AsyncIterator[None]:
        """Waits for a place and keeps it while the block runs.

        is_patient: it waits for as long as it takes, beside the bounded queues; for loops of the
        studio, which begin a bounded number.

        Raises:
            OwnerBusy, AllBusy: too much waits already; or what `busy` and `full` make.
        """
        await self.enter(owner, is_patient=is_patient)
        try:
            yield
        finally:
            self.leave(owner)

    async def enter(self, owner: Hashable, *, is_patient: bool = False) -> None:
        """As `place`; for work whose end is no end of a block, which calls `leave`."""
        if self._has_place(owner):  # whoever waits is over a limit of its own
            self._count(owner, 1)
            return
        if not is_patient:
            self._refuse_if_full(owner)
        try:
            async with asyncio.timeout(None if is_patient else self._wait_s):
                await self._wait(owner, is_patient)
        except TimeoutError:
            raise self._refusal(owner) from None

    def leave(self, owner: Hashable) -> None:
        """Gives the place back, to the next who waits."""
        self._count(owner, -1)
        self._admit()

    async def _wait(self, owner: Hashable, is_patient: bool) -> None:
        waiter = Waiter(owner, is_patient, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            else:  # it got the place in the same moment
                self.leave(owner)
            raise

    def _has_place(self, owner: Hashable) -> bool:
        return self._taken < self._places and not self._is_at_limit(owner)

    def _is_at_limit(self, owner: Hashable) -> bool:
        if owner is None:
            return False
        network = network_of(owner)
        return self._running[name_of(owner)] >= self._per_owner or (
            network is not None and self._by_network[network] >= self._per_network
        )

    def _refuse_if_full(self, owner: Hashable) -> None:
        name, network = name_of(owner), network_of(owner)
        waiting = [waiter.owner for waiter in self._waiting if not waiter.is_patient]
        own = sum(name_of(each) == name for each in waiting)
        near = sum(network_of(each) == network for each in waiting)
        has_queued_enough = owner is not None and (
            own >= self._most_waiting_per_owner
            or (network is not None and near >= self._most_waiting_per_network)
        )
        if has_queued_enough or len(waiting) >= self._most_waiting:
            raise self._refusal(owner)

    def _refusal(self, owner: Hashable) -> StudioError:
        return self._busy() if self._is_at_limit(owner) else self._full()

    def _count(self, owner: Hashable, change: int) -> None:
        self._taken += change
        name, network = name_of(owner), network_of(owner)
        self._running[name] += change
        if not self._running[name]:
            del self._running[name]
        if network is None:
            return
        self._by_network[network] += change
        if not self._by_network[network]:
            del self._by_network[network]

    def _admit(self) -> None:
        while waiting := [each for each in self._waiting if self._has_place(each.owner)]:
            chosen = min(waiting, key=lambda waiter: self._held(waiter.owner))
            self._waiting.remove(chosen)
            self._count(chosen.owner, 1)
            chosen.turn.set_result(None)

    def _held(self, owner: Hashable) -> tuple[int, int]:
        """Places of the owner's network, and of its own."""
        return self._by_network[network_of(owner)], self._running[name_of(owner)]
