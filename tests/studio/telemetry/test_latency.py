"""Latencies: right within 5 %, added up over replicas, never in the way of a request."""

from collections.abc import AsyncIterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.cache import RedisCache
from local.running import free_port
from studio.telemetry.latency import LatencyLog, RouteLatency, bucket_of, merge


@pytest.fixture
async def cache(redis_url: str) -> AsyncIterator[RedisCache]:
    opened = RedisCache(redis_url)
    yield opened
    await opened.aclose()


@given(st.lists(st.floats(0.1, 100_000), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 1]))
def test_quantiles_are_right_within_five_percent(times_ms: list[float], share: float) -> None:
    one = RouteLatency("GET", "/x")
    for time_ms in times_ms:
        one.buckets[bucket_of(time_ms)] += 1
    exact = float(np.quantile(times_ms, share, method="inverted_cdf"))
    assert one.quantile(share) == pytest.approx(exact, rel=0.05)


async def test_replicas_add_up(cache: RedisCache) -> None:
    first, second = LatencyLog(cache), LatencyLog(cache)
    for turn in range(90):
        first.note("GET", "/a b", 200, 10.0)
        second.note("GET", "/a b", 500 if turn < 5 else 404, 100.0)
    second.note("POST", "/c", 201, 1.0)
    await first.flush()
    busiest, other = await second.read()
    assert (busiest.method, busiest.route, busiest.requests) == ("GET", "/a b", 180)
    assert (busiest.errors, busiest.refused) == (5, 85)
    assert busiest.quantile(0.5) == pytest.approx(10, rel=0.05)
    assert busiest.quantile(0.95) == pytest.approx(100, rel=0.05)
    assert (other.route, other.requests, other.errors) == ("/c", 1, 0)
    again = await first.read()
    assert again == [busiest, other]  # read by any of them, counted once


async def test_counts_wait_for_a_cache_that_is_away() -> None:
    away = RedisCache(f"redis://127.0.0.1:{free_port()}/0")
    latency = LatencyLog(away)
    latency.note("GET", "/x", 200, 1.0)
    await latency.flush()
    latency.note("GET", "/x", 200, 1.0)
    await latency.flush()
    pending = [dict(counts) for counts in latency._pending.values()]
    (route,) = merge(pending)
    assert route.requests == 2
    await away.aclose()


async def test_what_is_older_than_the_window_is_forgotten(
    cache: RedisCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    latency = LatencyLog(cache)
    now_s = 1_700_000_000.0
    monkeypatch.setattr("studio.telemetry.latency.time.time", lambda: now_s)
    latency.note("GET", "/old", 200, 1.0)
    assert [row.route for row in await latency.read()] == ["/old"]
    now_s += 400
    assert await latency.read() == []
