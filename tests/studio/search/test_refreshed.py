"""A value that is read behind the requests."""

import asyncio

from errors import Unavailable
from studio.search.refreshed import Refreshed


class Source:
    def __init__(self) -> None:
        self.reads = 0
        self.is_down = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def read(self) -> int:
        await self.gate.wait()
        if self.is_down:
            raise Unavailable("down")
        self.reads += 1
        return self.reads


async def test_the_first_request_waits_and_later_ones_use_the_value() -> None:
    source = Source()
    value = Refreshed("test", source.read, 0, fresh_s=60, stale_s=60)
    assert [await value.value() for _ in range(3)] == [1, 1, 1]
    await value.aclose()


async def test_an_expired_value_is_used_once_more() -> None:
    source = Source()
    value = Refreshed("test", source.read, 0, fresh_s=60, stale_s=60)
    assert value.latest() == 0
    assert await value.value() == 1
    value.expire()
    assert value.latest() == 1
    await asyncio.sleep(0.01)
    assert await value.value() == 2
    await value.aclose()


async def test_a_value_that_is_not_too_old_is_used_while_a_new_one_is_read() -> None:
    source = Source()
    value = Refreshed("test", source.read, 0, fresh_s=-1, stale_s=60)
    assert await value.value() == 1
    source.gate.clear()
    assert [await value.value() for _ in range(3)] == [1, 1, 1]
    await value.aclose()


async def test_the_last_value_stands_while_the_source_is_down() -> None:
    source = Source()
    value = Refreshed("test", source.read, 0, fresh_s=-1, stale_s=-1)
    assert await value.value() == 1
    source.is_down = True
    assert await value.value() == 1
    source.is_down = False
    assert await value.value() == 2
    await value.aclose()
