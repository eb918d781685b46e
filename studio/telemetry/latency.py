"""Latencies of routes, counted in histogram buckets that add up over all Gateway replicas."""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from errors import Unavailable
from integrations.cache import RedisCache

WINDOW_S = 300
SLOT_S = 15
GROWTH = 1.1
"""Each bucket ends 10 % above the last one, so a quantile's error is at most 5 %."""
SHORTEST_MS = 0.1
LONGEST_BUCKET = 150
"""The last bucket, at 160 s; it also counts longer times."""
REFUSED, FAILED = "refused", "failed"


@dataclass
class RouteLatency:
    """The requests of one route in the window.

    `errors` are answers of 500 and above, `refused` those of 400 to 499.
    """

    method: str
    route: str
    errors: int = 0
    refused: int = 0
    buckets: Counter[int] = field(default_factory=Counter)

    @property
    def requests(self) -> int:
        """The number of requests."""
        return self.buckets.total()

    def quantile(self, share: float) -> float:
        """The time that this share of the requests did not exceed, in ms."""
        rank, count = max(1, math.ceil(share * self.requests)), 0
        for bucket in sorted(self.buckets):
            count += self.buckets[bucket]
            if count >= rank:
                return middle_ms(bucket)
        return 0.0


def bucket_of(elapsed_ms: float) -> int:
    """The number of the bucket that counts this time."""
    if elapsed_ms <= SHORTEST_MS:
        return 0
    return min(LONGEST_BUCKET, math.ceil(math.log(elapsed_ms / SHORTEST_MS, GROWTH)))


def middle_ms(bucket: int) -> float:
    """The middle of a bucket, which represents all times in it."""
    return SHORTEST_MS * GROWTH ** (bucket - 0.5) if bucket else SHORTEST_MS


def key_of(slot: int) -> str:
    """The cache key of the counters of one time slot."""
    return f"latency:{slot}"


class LatencyLog:
    """Counts requests in memory, adds the counts to the cache, and reads those of all replicas."""

    def __init__(self, cache: RedisCache) -> None:
        self._cache = cache
        self._pending: dict[int, Counter[str]] = defaultdict(Counter)

    def note(self, method: str, route: str, status: int, elapsed_ms: float) -> None:
        """Counts one answered request; never waits."""
        fields = self._pending[int(time.time()) // SLOT_S]
        name = f"{method} {route}"
        fields[f"{bucket_of(elapsed_ms)} {name}"] += 1
        if status >= 400:
            fields[f"{FAILED if status >= 500 else REFUSED} {name}"] += 1

    async def flush(self) -> None:
        """Adds the counts to the cache; if it doesn't answer, recent counts stay in memory."""
        pending, self._pending = self._pending, defaultdict(Counter)
        oldest = (int(time.time()) - WINDOW_S) // SLOT_S
        recent = {slot: fields for slot, fields in pending.items() if slot >= oldest}
        if not recent:
            return
        counts = {key_of(slot): fields for slot, fields in recent.items()}
        try:
            await self._cache.add_counts(counts, lifetime_s=WINDOW_S + 2 * SLOT_S)
        except Unavailable:
            for slot, fields in recent.items():
                self._pending[slot].update(fields)

    async def read(self) -> list[RouteLatency]:
        """The routes of the last five minutes over all replicas, busiest first.

        Raises:
            Unavailable: the cache does not answer.
        """
        await self.flush()
        newest = int(time.time()) // SLOT_S
        slots = range(newest - WINDOW_S // SLOT_S, newest + 1)
        routes = merge(await self._cache.read_counts([key_of(slot) for slot in slots]))
        return sorted(routes, key=lambda item: (-item.requests, item.route, item.method))


def merge(slots: Iterable[Mapping[str, int]]) -> list[RouteLatency]:
    """The counters of many time slots, added up by route."""
    routes: dict[tuple[str, str], RouteLatency] = {}
    for counts in slots:
        for name, count in counts.items():
            kind, method, route = name.split(" ", 2)
            latency = routes.setdefault((method, route), RouteLatency(method, route))
            if kind == FAILED:
                latency.errors += count
            elif kind == REFUSED:
                latency.refused += count
            else:
                latency.buckets[int(kind)] += count
    return list(routes.values())
