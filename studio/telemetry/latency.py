"""How long routes take, counted in buckets that add up over every replica of the Gateway."""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from errors import Unavailable
from studio.ports import Cache

WINDOW_S = 300
SLOT_S = 15
GROWTH = 1.1
"""Each bucket ends 10 % above the last one, so no quantile is off by more than 5 %."""
SHORTEST_MS = 0.1
LONGEST_BUCKET = 150
"""160 s; whatever takes longer is counted there."""
REFUSED, FAILED = "refused", "failed"


@dataclass
class RouteLatency:
    """One route over the window; times in milliseconds.

    `errors` are answers of 500 and above, `refused` those of 400 to 499.
    """

    method: str
    route: str
    errors: int = 0
    refused: int = 0
    buckets: Counter[int] = field(default_factory=Counter)

    @property
    def requests(self) -> int:
        """How many there were."""
        return self.buckets.total()

    def quantile(self, share: float) -> float:
        """The time that this share of the requests did not exceed, in ms."""
        rank, seen = max(1, math.ceil(share * self.requests)), 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= rank:
                return middle_ms(bucket)
        return 0.0


def bucket_of(elapsed_ms: float) -> int:
    """The number of the bucket that counts this time."""
    if elapsed_ms <= SHORTEST_MS:
        return 0
    return min(LONGEST_BUCKET, math.ceil(math.log(elapsed_ms / SHORTEST_MS, GROWTH)))


def middle_ms(bucket: int) -> float:
    """The time that stands for a bucket."""
    return SHORTEST_MS * GROWTH ** (bucket - 0.5) if bucket else SHORTEST_MS


def key_of(slot: int) -> str:
    """Where the cache counts the requests of one slot of time."""
    return f"latency:{slot}"


class LatencyLog:
    """Counts in memory, adds to the cache's counters when told to, and reads everyone's."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._pending: dict[int, Counter[str]] = defaultdict(Counter)

    def note(self, method: str, route: str, status: int, elapsed_ms: float) -> None:
        """One answered request; never waits."""
        fields = self._pending[int(time.time()) // SLOT_S]
        name = f"{method} {route}"
        fields[f"{bucket_of(elapsed_ms)} {name}"] += 1
        if status >= 400:
            fields[f"{FAILED if status >= 500 else REFUSED} {name}"] += 1

    async def flush(self) -> None:
        """Adds what was counted; while the cache is away it is kept, as long as it matters."""
        counted, self._pending = self._pending, defaultdict(Counter)
        oldest = (int(time.time()) - WINDOW_S) // SLOT_S
        recent = {slot: fields for slot, fields in counted.items() if slot >= oldest}
        if not recent:
            return
        counts = {key_of(slot): fields for slot, fields in recent.items()}
        try:
            await self._cache.add_counts(counts, lifetime_s=WINDOW_S + 2 * SLOT_S)
        except Unavailable:
            for slot, fields in recent.items():
                self._pending[slot].update(fields)

    async def read(self) -> list[RouteLatency]:
        """Every route of the last five minutes, busiest first, over all replicas.

        Raises:
            Unavailable: the cache is away.
        """
        await self.flush()
        newest = int(time.time()) // SLOT_S
        slots = range(newest - WINDOW_S // SLOT_S, newest + 1)
        found = merge(await self._cache.read_counts([key_of(slot) for slot in slots]))
        return sorted(found, key=lambda one: (-one.requests, one.route, one.method))


def merge(slots: Iterable[Mapping[str, int]]) -> list[RouteLatency]:
    """Counters of many slots -> routes."""
    routes: dict[tuple[str, str], RouteLatency] = {}
    for counts in slots:
        for name, count in counts.items():
            kind, method, route = name.split(" ", 2)
            one = routes.setdefault((method, route), RouteLatency(method, route))
            if kind == FAILED:
                one.errors += count
            elif kind == REFUSED:
                one.refused += count
            else:
                one.buckets[int(kind)] += count
    return list(routes.values())
