"""Limits concurrent work in total, for each owner and for each network, with bounded queues."""

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
    """The owner has too much work running and waiting."""

    retry_after_s = 2


class AllBusy(Unavailable):
    """All places are taken, and the queue is full."""

    retry_after_s = 2


def owner_busy() -> StudioError:
    """The default error if the owner has too much work."""
    return OwnerBusy("too many of your requests of this kind are running already")


def all_busy() -> StudioError:
    """The default error if all owners together have too much work."""
    return AllBusy("too many requests of this kind are running already")


class Caller(NamedTuple):
    """Who sent a request: an account, or an address without one, and its network.

    Anybody can register many accounts, so a limit for an account comes with a limit for its
    network.
    """

    name: str
    network: str


def network_of(owner: Hashable) -> str | None:
    """The owner's network; None if it is not a `Caller`."""
    return owner.network if isinstance(owner, Caller) else None


def name_of(owner: Hashable) -> Hashable:
    """The key of an owner's places: the account, over all its networks."""
    return owner.name if isinstance(owner, Caller) else owner


@dataclass(eq=False)
class WaitingOwner:
    """An owner that waits for a place, and the future that is set when it gets one."""

    owner: Hashable
    is_patient: bool
    turn: asyncio.Future[None]


class FairSemaphore:
    """Limits concurrent work.

    A free place goes to a waiting owner of the network that holds the fewest places. Within a
    network it goes to the owner that holds the fewest places; a tie goes to the earliest request.
    The owner None is the studio's own work, which only the total number of places limits.

    wait_s: the longest wait.
    busy, full: make the errors for an owner over its limit, and for others without a place.
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
        self._in_use = 0
        self._running: Counter[Hashable] = Counter()
        self._by_network: Counter[str | None] = Counter()
        self._waiting: list[WaitingOwner] = []

    @asynccontextmanager
    async def place(self, owner: Hashable, *, is_patient: bool = False) -> AsyncIterator[None]:
        """Waits for a place and holds it while the block runs.

        is_patient: whether to wait without a time limit and outside of the bounded queues; for
            loops of the studio, which start a limited number.

        Raises:
            OwnerBusy, AllBusy: the queue is full; or the errors that `busy` and `full` make.
        """
        await self.enter(owner, is_patient=is_patient)
        try:
            yield
        finally:
            self.leave(owner)

    async def enter(self, owner: Hashable, *, is_patient: bool = False) -> None:
        """Waits for a place as `place` does; the caller calls `leave` at the end of its work."""
        if self._has_place(owner):  # waiting owners are at a limit of their own
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
        """Returns the place, which goes to the next owner that waits."""
        self._count(owner, -1)
        self._admit()

    async def _wait(self, owner: Hashable, is_patient: bool) -> None:
        waiter = WaitingOwner(owner, is_patient, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            else:  # it got the place at the moment of the cancellation
                self.leave(owner)
            raise

    def _has_place(self, owner: Hashable) -> bool:
        return self._in_use < self._places and not self._is_at_limit(owner)

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
        of_owner = sum(name_of(waiter) == name for waiter in waiting)
        of_network = sum(network_of(waiter) == network for waiter in waiting)
        has_queued_enough = owner is not None and (
            of_owner >= self._most_waiting_per_owner
            or (network is not None and of_network >= self._most_waiting_per_network)
        )
        if has_queued_enough or len(waiting) >= self._most_waiting:
            raise self._refusal(owner)

    def _refusal(self, owner: Hashable) -> StudioError:
        return self._busy() if self._is_at_limit(owner) else self._full()

    def _count(self, owner: Hashable, change: int) -> None:
        self._in_use += change
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
        while waiting := [waiter for waiter in self._waiting if self._has_place(waiter.owner)]:
            following = min(waiting, key=lambda waiter: self._places_of(waiter.owner))
            self._waiting.remove(following)
            self._count(following.owner, 1)
            following.turn.set_result(None)

    def _places_of(self, owner: Hashable) -> tuple[int, int]:
        """The number of places of the owner's network, and of the owner."""
        return self._by_network[network_of(owner)], self._running[name_of(owner)]
