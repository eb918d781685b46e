"""Places are bounded in all and for each owner, and go to whoever has the fewest."""

import asyncio
from collections import Counter
from collections.abc import Hashable

import pytest

from integrations.fair_semaphore import AllBusy, Caller, FairSemaphore, OwnerBusy


class Work:
    """Tasks that hold a place until `finish` is called."""

    def __init__(self, shares: FairSemaphore) -> None:
        self._shares = shares
        self._ends: list[tuple[Hashable, asyncio.Event]] = []
        self.running: Counter[Hashable] = Counter()

    async def __call__(self, owner: Hashable, *, is_patient: bool = False) -> None:
        async with self._shares.place(owner, is_patient=is_patient):
            self.running[owner] += 1
            end = asyncio.Event()
            self._ends.append((owner, end))
            try:
                await end.wait()
            finally:
                self.running[owner] -= 1

    async def start(self, owner: Hashable, *, is_patient: bool = False) -> "asyncio.Task[None]":
        task = asyncio.create_task(self(owner, is_patient=is_patient))
        await turn()
        return task

    async def finish(self) -> Hashable:
        owner, end = self._ends.pop(0)
        end.set()
        await turn()
        return owner


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_places_are_bounded_for_an_owner_and_in_all() -> None:
    work = Work(FairSemaphore(places=3, per_owner=2, waiting=10, waiting_per_owner=10))
    tasks = [await work.start("a") for _ in range(4)]
    assert work.running == {"a": 2}
    tasks += [await work.start(owner) for owner in ("b", "c")]
    assert work.running == {"a": 2, "b": 1}
    for _ in tasks:
        await work.finish()
        assert work.running.total() <= 3 and max(work.running.values()) <= 2
    assert work.running.total() == 0


async def test_the_owner_with_the_fewest_places_is_next() -> None:
    work = Work(FairSemaphore(places=2, per_owner=2, waiting=10, waiting_per_owner=10))
    for owner in ("a", "a", "a", "a", "b", "c"):
        await work.start(owner)
    order = [await work.finish() for _ in range(6)]
    assert order == ["a", "a", "b", "a", "c", "a"]


async def test_more_than_the_queues_hold_is_refused() -> None:
    work = Work(FairSemaphore(places=2, per_owner=1, waiting=3, waiting_per_owner=2))
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
    work = Work(FairSemaphore(places=2, per_owner=1))
    await work.start("a")
    with pytest.raises(OwnerBusy):
        await work("a")
    await work.start("b")
    with pytest.raises(AllBusy):
        await work("c")


async def test_whoever_gives_up_leaves_no_trace() -> None:
    work = Work(FairSemaphore(places=1, per_owner=1, waiting=2, waiting_per_owner=2))
    await work.start("a")
    waiting = await work.start("b")
    waiting.cancel()
    await turn()
    assert waiting.cancelled()
    following = await work.start("c")
    work._ends.pop(0)[1].set()
    await asyncio.sleep(0)  # a leaves, and the place is c's
    assert work._shares._running == {"c": 1}
    following.cancel()  # before c could enter
    await turn()
    await work.start("d")
    assert work.running["d"] == 1


async def test_accounts_of_one_network_share_its_places() -> None:
    shares = FairSemaphore(
        places=6, per_owner=2, per_network=3, waiting=9, waiting_per_owner=9, waiting_per_network=2
    )
    work = Work(shares)
    accounts = [Caller(name, "192.0.2.1") for name in "abcdef"]
    for account in accounts[:5]:
        await work.start(account)
    assert work.running.total() == 3
    with pytest.raises(OwnerBusy):
        await work(accounts[5])
    await work.start(Caller("g", "192.0.2.2"))
    assert work.running[Caller("g", "192.0.2.2")] == 1
    assert [await work.finish() for _ in range(5)] == [
        *accounts[:3],
        ("g", "192.0.2.2"),
        accounts[3],
    ]


async def test_an_account_has_one_share_whatever_networks_it_uses() -> None:
    work = Work(FairSemaphore(places=4, per_owner=2))
    for number in range(2):
        await work.start(Caller("a", f"192.0.2.{number}"))
    with pytest.raises(OwnerBusy):
        await work(Caller("a", "192.0.2.9"))


async def test_the_network_with_the_fewest_places_is_next() -> None:
    work = Work(FairSemaphore(places=2, per_owner=2, waiting=10, waiting_per_owner=10))
    near = [Caller(name, "192.0.2.1") for name in "abcd"]
    far = Caller("e", "192.0.2.2")
    for owner in (*near, far):
        await work.start(owner)
    assert [await work.finish() for _ in range(5)] == [near[0], near[1], far, near[2], near[3]]


async def test_the_studios_own_work_has_no_share_and_the_patient_are_never_refused() -> None:
    work = Work(FairSemaphore(places=2, per_owner=1, wait_s=0.0))
    for _ in range(2):
        await work.start(None)
    with pytest.raises(AllBusy):
        await work(None)
    patient = [await work.start("a", is_patient=True) for _ in range(3)]
    assert not any(task.done() for task in patient)
    assert [await work.finish() for _ in range(5)] == [None, None, "a", "a", "a"]


async def test_whoever_waits_too_long_is_refused_and_leaves_no_trace() -> None:
    shares = FairSemaphore(places=1, per_owner=1, waiting=9, waiting_per_owner=9, wait_s=0.0)
    work = Work(shares)
    caller = Caller("a", "192.0.2.1")
    await work.start(caller)
    with pytest.raises(OwnerBusy):
        await work(caller)
    with pytest.raises(AllBusy):
        await work("b")
    await work.finish()
    assert not shares._running and not shares._by_network and not shares._waiting
