"""The cache on a real Valkey, and without one."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from errors import Unavailable
from integrations.cache import RedisCache
from integrations.windows import Take


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
    asked = [Take("a", 2), Take("b", 1), Take("a", 2), Take("a", 2), Take("b", 1)]
    found = await cache.count_in_windows(asked, window_ms=60_000)
    assert [one.taken for one in found] == [True, True, True, False, False]
    assert [one.remaining for one in found] == [1, 0, 0, 0, 0]
    assert all(0 < one.more_in_ms <= 60_001 for one in found)


async def test_a_full_window_has_room_again_when_it_said(cache: RedisCache) -> None:
    """From the second turn on, what is left of the window before is what takes the room."""
    for _ in range(8):
        found = (await cache.count_in_windows([Take("full", 5)] * 6, window_ms=300))[-1]
        assert not found.taken and found.remaining == 0
        await asyncio.sleep(found.more_in_ms / 1000)
        assert (await cache.count_in_windows([Take("full", 5)], window_ms=300))[0].taken


async def test_a_window_slides(cache: RedisCache) -> None:
    """However requests fall, no window's length has many more than its quota."""
    taken: list[float] = []
    loop = asyncio.get_running_loop()
    until_s = loop.time() + 1.5
    while loop.time() < until_s:
        began_s = loop.time()
        if (await cache.count_in_windows([Take("steady", 10)], window_ms=300))[0].taken:
            taken.append(began_s)
        await asyncio.sleep(0.005)
    assert len(taken) <= 10 * (1.5 / 0.3 + 1)
    assert len(taken) > 20  # and it does go on


async def test_windows_survive_a_server_that_forgot_the_script(cache: RedisCache) -> None:
    await cache.count_in_windows([Take("again", 3)], window_ms=60_000)
    await cache._client.script_flush()
    found = await cache.count_in_windows([Take("again", 3)], window_ms=60_000)
    assert found[0].remaining == 1
