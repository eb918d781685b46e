"""Sliding windows count many callers in one round trip."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from integrations.cache import RedisCache
from integrations.windows import QuotaUse


@pytest.fixture
async def cache(redis_url: str) -> AsyncIterator[RedisCache]:
    opened = RedisCache(redis_url)
    yield opened
    await opened.aclose()


async def test_windows_count_each_caller_in_order(cache: RedisCache) -> None:
    uses = [QuotaUse(key, quota) for key, quota in zip("abaab", (2, 1, 2, 2, 1), strict=True)]
    states = await cache.count_in_windows(uses, window_ms=60_000)
    assert [state.is_counted for state in states] == [True, True, True, False, False]
    assert [state.remaining for state in states] == [1, 0, 0, 0, 0]
    assert all(0 < state.retry_after_ms <= 60_001 for state in states)


async def test_a_full_window_has_room_again_when_it_said(cache: RedisCache) -> None:
    """From the second turn on, the weight of the previous window uses up the quota."""
    for _ in range(8):
        states = (await cache.count_in_windows([QuotaUse("full", 5)] * 6, window_ms=300))[-1]
        assert not states.is_counted and states.remaining == 0
        await asyncio.sleep(states.retry_after_ms / 1000)
        assert (await cache.count_in_windows([QuotaUse("full", 5)], window_ms=300))[0].is_counted


async def test_a_window_slides(cache: RedisCache) -> None:
    """No interval of a window's length has many more requests than the quota."""
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
