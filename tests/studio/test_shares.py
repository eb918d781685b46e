"""Places are bounded in all and for each owner, and go to whoever has the fewest."""

import asyncio
from collections import Counter

import pytest

from studio.shares import AllBusy, OwnerBusy, Shares


class Work:
    """Tasks that each hold a place until `finish` lets them go."""

    def __init__(self, shares: Shares) -> None:
        self._shares = shares
        self._ends: list[tuple[str, asyncio.Event]] = []
        self.running: Counter[str] = Counter()

    async def __call__(self, owner: str) -> None:
        async with self._shares.place(owner):
            self.running[owner] += 1
            end = asyncio.Event()
            self._ends.append((owner, end))
            try:
                await end.wait()
            finally:
                self.running[owner] -= 1

    async def start(self, owner: str) -> "asyncio.Task[None]":
        task = asyncio.create_task(self(owner))
        await turn()
        return task

    async def finish(self) -> str:
        owner, end = self._ends.pop(0)
        end.set()
        await turn()
        return owner


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_places_are_bounded_for_an_owner_and_in_all() -> None:
    work = Work(Shares(places=3, per_owner=2, waiting=10, waiting_per_owner=10))
    tasks = [await work.start("a") for _ in range(4)]
    assert work.running == {"a": 2}
    tasks += [await work.start(owner) for owner in ("b", "c")]
    assert work.running == {"a": 2, "b": 1}
    for _ in tasks:
        await work.finish()
        assert work.running.total() <= 3 and max(work.running.values()) <= 2
    assert work.running.total() == 0


async def test_the_owner_with_the_fewest_places_is_next() -> None:
    work = Work(Shares(places=2, per_owner=2, waiting=10, waiting_per_owner=10))
    for owner in ("a", "a", "a", "a", "b", "c"):
        await work.start(owner)
    order = [await work.finish() for _ in range(6)]
    assert order == ["a", "a", "b", "a", "c", "a"]


async def test_more_than_the_queues_hold_is_refused() -> None:
    work = Work(Shares(places=2, per_owner=1, waiting=3, waiting_per_owner=2))
    for _ in range(3):
        await work.start("a")
    with pytest.raises(OwnerBusy):
        await work("a")
    await work.start("b")
    await work.start("b")
    with pytest.raises(AllBusy):
        await work("c")
    for _ in range(5):
        await work.finish()
    await work.start("c")
    assert work.running == {"a": 0, "b": 0, "c": 1}


async def test_without_queues_nobody_waits() -> None:
    work = Work(Shares(places=2, per_owner=1))
    await work.start("a")
    with pytest.raises(OwnerBusy):
        await work("a")
    await work.start("b")
    with pytest.raises(AllBusy):
        await work("c")


async def test_whoever_gives_up_leaves_no_trace() -> None:
    work = Work(Shares(places=1, per_owner=1, waiting=2, waiting_per_owner=2))
    await work.start("a")
    waiting = await work.start("b")
    waiting.cancel()
    await turn()
    assert waiting.cancelled()
    chosen = await work.start("c")
    work._ends.pop(0)[1].set()
    await asyncio.sleep(0)  # a leaves, and the place is c's
    assert work._shares._running == {"c": 1}
    chosen.cancel()  # before c could enter
    await turn()
    await work.start("d")
    assert work.running["d"] == 1
