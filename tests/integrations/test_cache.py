"""The cache on a real Valkey, and without state."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from errors import Unavailable
from integrations.cache import RedisCache
from integrations.windows import QuotaUse


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


async def test_without_a_server() -> None:
    cache = RedisCache("redis://127.0.0.1:1/0")
    for call in (
        cache.get("a"), cache.set("a", b"", lifetime_s=1), cache.add("a", b"", lifetime_s=1),
        cache.delete("a"), cache.check(),
    ):  # fmt: skip
        with pytest.raises(Unavailable):
            await call
    await cache.aclose()


async def test_windows_count_each_caller_in_order(cache: RedisCache) -> None:
    uses = [
        QuotaUse("a", 2),
        QuotaUse("b", 1),
        QuotaUse("a", 2),
        QuotaUse("a", 2),
        QuotaUse("b", 1),
    ]
    states = await cache.count_in_windows(uses, window_ms=60_000)
    assert [state.is_counted for state in states] == [True, True, True, False, False]
    assert [state.remaining for state in states] == [1, 0, 0, 0, 0]
    assert all(0 < state.more_in_ms <= 60_001 for state in states)


async def test_a_full_window_has_room_again_when_it_said(cache: RedisCache) -> None:
    """From the second turn on, what is left of the window before is what takes the room."""
    for _ in range(8):
        states = (await cache.count_in_windows([QuotaUse("full", 5)] * 6, window_ms=300))[-1]
        assert not states.is_counted and states.remaining == 0
        await asyncio.sleep(states.more_in_ms / 1000)
        assert (await cache.count_in_windows([QuotaUse("full", 5)], window_ms=300))[0].is_counted


async def test_a_window_slides(cache: RedisCache) -> None:
    """However requests fall, no window's length has many more than its quota."""
    counted_at_s: list[float] = []
    loop = asyncio.get_running_loop()
    until_s = loop.time() + 1.5
    while loop.time() < until_s:
        began_s = loop.time()
        if (await cache.count_in_windows([QuotaUse("steady", 10)], window_ms=300))[0].is_counted:
            counted_at_s.append(began_s)
        await asyncio.sleep(0.005)
    assert len(counted_at_s) <= 10 * (1.5 / 0.3 + 1)
    assert len(counted_at_s) > 20  # and it does go on


async def test_windows_survive_a_server_that_forgot_the_script(cache: RedisCache) -> None:
    await cache.count_in_windows([QuotaUse("again", 3)], window_ms=60_000)
    await cache._client.script_flush()
    states = await cache.count_in_windows([QuotaUse("again", 3)], window_ms=60_000)
    assert states[0].remaining == 1
