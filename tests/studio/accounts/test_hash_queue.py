"""Who waits for a slow hash is counted, and sign-ins go first."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest

from errors import NotAuthenticated, Unavailable
from studio.accounts import passwords
from studio.accounts.accounts import create_user
from studio.accounts.forms import LoginForm
from studio.accounts.hash_queue import HashQueue, Rank
from studio.accounts.login import log_in
from studio.accounts.passwords import MAX_WAITING, hash_queue
from studio.ports import Studio
from tests.support.fakes import PASSWORD

OWNER = LoginForm(email="a@example.com", password=PASSWORD)


class Work:
    """Work that ends when the test says so."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.done: list[str] = []

    def named(self, name: str) -> Callable[[], str]:
        """Runs until the test ends it."""
        return partial(self._work, name)

    def _work(self, name: str) -> str:
        self.may_end.wait(10)
        self.done.append(name)
        return name


def stranger(number: int) -> LoginForm:
    """Credentials of no account."""
    return LoginForm(email=f"x{number}@example.com", password="wrong")


async def begin(queue: HashQueue, work: Work, name: str, rank: Rank) -> asyncio.Task[str]:
    """Starts a task that has a place, or waits for one."""
    task = asyncio.create_task(queue.run(work.named(name), rank))
    await asyncio.sleep(0)
    return task


async def test_a_full_queue_refuses_and_registrations_wait_behind_sign_ins() -> None:
    queue, work = HashQueue(places=1, most_waiting=3), Work()
    first = await begin(queue, work, "first", Rank.SIGN_IN)
    registrations = [await begin(queue, work, f"r{at}", Rank.REGISTRATION) for at in range(3)]
    with pytest.raises(Unavailable):
        await queue.run(work.named("one too many"), Rank.REGISTRATION)
    sign_ins = [await begin(queue, work, f"s{at}", Rank.SIGN_IN) for at in range(2)]
    work.may_end.set()
    await asyncio.gather(first, *sign_ins, registrations[0])
    assert work.done == ["first", "s0", "s1", "r0"]
    for displaced in registrations[1:]:
        with pytest.raises(Unavailable):
            await displaced
    assert queue.waiting == 0


async def test_whoever_leaves_gives_its_place_back() -> None:
    queue, work = HashQueue(places=1, most_waiting=2), Work()
    first = await begin(queue, work, "first", Rank.SIGN_IN)
    gone = [await begin(queue, work, f"gone{at}", Rank.SIGN_IN) for at in range(2)]
    for task in gone:
        task.cancel()
    await asyncio.wait(gone)
    assert queue.waiting == 0
    last = await begin(queue, work, "last", Rank.SIGN_IN)
    work.may_end.set()
    assert [await first, await last] == ["first", "last"]
    assert await queue.run(lambda: "free again", Rank.SIGN_IN) == "free again"


async def test_a_flood_of_sign_ins_waits_in_bounds_and_counts_for_nobody(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """48 networks fill the queue; refused attempts don't count as failures."""
    monkeypatch.setattr(passwords, "COST", 4)
    await create_user(studio.database, email="a@example.com", password=PASSWORD)
    work = Work()
    blocked = [
        await begin(hash_queue(), work, f"b{at}", Rank.SIGN_IN)
        for at in range(passwords.CONCURRENT_HASHES)
    ]
    flood = [asyncio.create_task(log_in(studio, stranger(at), ip=None)) for at in range(48)]
    answered = asyncio.as_completed(flood)
    for _ in range(len(flood) - MAX_WAITING):
        with pytest.raises(Unavailable):
            await next(answered)
    assert hash_queue().waiting == MAX_WAITING
    for _ in range(10):  # more than an account's free failures
        with pytest.raises(Unavailable):
            await log_in(studio, OWNER, ip="192.0.2.1")
    work.may_end.set()
    answers = await asyncio.gather(*blocked, *flood, return_exceptions=True)
    assert Counter(map(type, answers)) == {
        str: passwords.CONCURRENT_HASHES, NotAuthenticated: MAX_WAITING,
        Unavailable: 48 - MAX_WAITING,
    }  # fmt: skip
    await log_in(studio, OWNER, ip="192.0.2.1")
