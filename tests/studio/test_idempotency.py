"""One key, one answer."""

import asyncio
from typing import Any

import pytest

from errors import Conflict, Invalid
from studio.idempotency import answer_once, fingerprint
from studio.ports import Studio


class Maker:
    """Counts how often an answer is really made."""

    def __init__(self, *, wait_s: float = 0, failures: int = 0) -> None:
        self.made = 0
        self._wait_s = wait_s
        self._failures = failures

    async def __call__(self) -> dict[str, Any]:
        self.made += 1
        await asyncio.sleep(self._wait_s)
        if self.made <= self._failures:
            raise Invalid("not this time")
        return {"answer": self.made}


async def once(studio: Studio, make: Maker, request: str = "same") -> dict[str, Any]:
    return await answer_once(studio.cache, "name", fingerprint(request), make, lifetime_s=60)


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
