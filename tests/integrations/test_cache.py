"""The cache on a real Valkey, and without state."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from errors import Unavailable
from integrations.cache import RedisCache


@pytest.fixture
async def cache(redis_url: str) -> AsyncIterator[RedisCache]:
    opened = RedisCache(redis_url)
    yield opened
    await opened.aclose()


async def test_values_come_and_go(cache: RedisCache) -> None:
    await cache.check()
    assert await cache.get("a") is None
    await cache.set("a", b"\x00\xff", lifetime_s=60)
    assert await cache.get("a") == b"\x00\xff"
    await cache.delete("a")
    await cache.delete("a")
    assert await cache.get("a") is None


async def test_only_the_first_adds(cache: RedisCache) -> None:
    added = await asyncio.gather(
        *(cache.add("once", str(number).encode(), lifetime_s=60) for number in range(20))
    )
    assert sum(added) == 1


async def test_only_the_expected_value_is_replaced_or_discarded(cache: RedisCache) -> None:
    await cache.set("mark", b"\x00mine", lifetime_s=60)
    assert not await cache.replace("mark", b"another's", b"x", lifetime_s=60)
    assert not await cache.discard("mark", b"another's")
    assert await cache.replace("mark", b"\x00mine", b"\xffnew", lifetime_s=30)
    assert 29 < await cache.remaining_s("mark") <= 30
    assert await cache.discard("mark", b"\xffnew")
    assert not await cache.discard("mark", b"\xffnew")
    assert not await cache.replace("mark", b"\xffnew", b"x", lifetime_s=60)
    assert await cache.remaining_s("mark") == 0


async def test_values_end(cache: RedisCache) -> None:
    await cache.set("short", b"x", lifetime_s=1)
    await asyncio.sleep(1.2)
    assert await cache.get("short") is None


async def test_no_cancellation_is_lost(cache: RedisCache) -> None:
    """Wherever it arrives: the client waits by `wait_for`, which loses some on Python 3.11."""

    async def repeat() -> None:
        while True:
            await cache.get("a")

    for steps in range(60):
        task = asyncio.create_task(repeat())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        _, pending = await asyncio.wait({task}, timeout=1)
        task.cancel()  # if it was lost, the test ends all the same
        assert not pending, f"lost after {steps} steps of the event loop"


async def test_without_a_server() -> None:
    cache = RedisCache("redis://127.0.0.1:1/0")
    for call in (
        cache.get("a"), cache.set("a", b"", lifetime_s=1), cache.add("a", b"", lifetime_s=1),
        cache.delete("a"), cache.check(),
    ):  # fmt: skip
        with pytest.raises(Unavailable):
            await call
    await cache.aclose()
