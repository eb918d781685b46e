"""Requests with one key get one answer."""

import asyncio
from typing import Any

import pytest

from errors import Conflict, Invalid
from studio import idempotency
from studio.forms import fingerprint
from studio.idempotency import KeyedRequest, answer_by_cache
from studio.ports import Studio
from tests.support.servers import empty_cache


class Maker:
    """Counts how often an answer is made; works until it may end."""

    def __init__(self, *, wait_s: float = 0, failures: int = 0) -> None:
        self.count = 0
        self.has_begun, self.may_end = asyncio.Event(), asyncio.Event()
        self.may_end.set()
        self._wait_s = wait_s
        self._failures = failures

    async def __call__(self) -> dict[str, Any]:
        self.count += 1
        self.has_begun.set()
        await asyncio.sleep(self._wait_s)
        await self.may_end.wait()
        if self.count <= self._failures:
            raise Invalid("not this time")
        return {"answer": self.count}


async def once(studio: Studio, make: Maker, request: str = "same") -> dict[str, Any]:
    keyed = KeyedRequest("key", fingerprint(request))
    return await answer_by_cache(studio.cache, "scope", keyed, make, lifetime_s=60)


async def test_the_same_request_is_answered_once(studio: Studio) -> None:
    make = Maker()
    assert await once(studio, make) == await once(studio, make) == {"answer": 1}
    with pytest.raises(Conflict):
        await once(studio, make, "another")


async def test_twins_at_the_same_moment_get_the_same(studio: Studio) -> None:
    make = Maker(wait_s=0.3)
    answers = await asyncio.gather(*(once(studio, make) for _ in range(5)))
    assert answers == [{"answer": 1}] * 5


async def test_failures_are_not_remembered(studio: Studio) -> None:
    make = Maker(failures=1)
    with pytest.raises(Invalid):
        await once(studio, make)
    assert await once(studio, make) == {"answer": 2}


async def test_work_that_outlasts_its_mark_is_still_done_once(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock is renewed while the work runs; a concurrent request waits for it."""
    monkeypatch.setattr(idempotency, "WORKING_S", 1)
    make = Maker(wait_s=2.5)
    first = asyncio.create_task(once(studio, make))
    await asyncio.sleep(1.5)
    assert await once(studio, make) == await first == {"answer": 1}
    assert make.count == 1


async def test_a_failure_leaves_the_mark_of_whoever_took_over(studio: Studio) -> None:
    """The first request loses its lock with the cache; its failure keeps the second's receipt."""
    slow, quick = Maker(failures=1), Maker()
    slow.may_end.clear()
    first = asyncio.create_task(once(studio, slow))
    await slow.has_begun.wait()
    empty_cache(studio.settings.required("redis_url"))
    assert await once(studio, quick) == {"answer": 1}
    slow.may_end.set()
    with pytest.raises(Invalid):
        await first
    assert await once(studio, Maker()) == {"answer": 1} and quick.count == 1


async def test_of_two_answers_only_the_first_was_ever_given(studio: Studio) -> None:
    """Both requests do the work, because the cache lost the lock; both get the same answer."""
    slow = Maker()
    slow.count = 10
    slow.may_end.clear()
    first = asyncio.create_task(once(studio, slow))
    await slow.has_begun.wait()
    empty_cache(studio.settings.required("redis_url"))
    answer = await once(studio, Maker())
    slow.may_end.set()
    assert answer == await first == {"answer": 1}
