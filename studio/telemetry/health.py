"""Which parts of the studio are well, and whether search can be served."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Literal, TypeVar

from errors import StudioError, Unavailable
from studio.ports import Studio

TIMEOUT_S = 1.0
SILENT_S = 15.0
OVERDUE_S = 60.0
TICK_S = 0.1
LATE_S = 0.15
"""A timer that comes so much too late says that this process itself is behind."""
REMEMBERED_S = 15.0
FRESH_S = 1.0
"""Whoever asks again within it gets the same answer: health is asked by anyone, without limit."""
NEEDED = ("rec", "db")

Status = Literal["ok", "degraded", "down"]
Found = TypeVar("Found")
Check = Callable[[Studio], Awaitable[str | None]]


class Degraded(StudioError):
    """A part that answers, but not everything."""


@dataclass(frozen=True)
class ServiceHealth:
    """One part: whether it answers, how fast, and what it says."""

    status: Status
    latency_ms: float
    detail: str | None = None


@dataclass(frozen=True)
class StudioHealth:
    """All parts, and their sum."""

    status: Status
    services: dict[str, ServiceHealth]


async def check_rec(studio: Studio) -> str:
    """An embedder that answers and an index with something in it.

    Raises:
        Unavailable: there is nothing to search with or in.
    """
    version, state = await asyncio.gather(studio.embedder.version(), studio.index.status())
    if not state.get("version"):
        raise Unavailable("no index is active")
    if not state.get("count"):
        raise Unavailable("the catalogue is empty")
    if state.get("embedderVersion") != version:
        raise Unavailable("the index was made by another embedder")
    return f"{state['count']} products, index {state['version']}"


async def check_seg(studio: Studio) -> str:
    """A segmenter that answers."""
    return await studio.segmenter.version()


async def check_jobs(studio: Studio) -> str:
    """A dispatcher that looks at the queue, and nothing that runs by nobody's lease.

    Raises:
        Unavailable: accepted jobs would wait.
        Degraded: jobs are done, and something else of the dispatcher's needs an operator.
    """
    state: Mapping[str, Any] = await studio.dispatcher.status()
    if state["silentS"] > SILENT_S:
        raise Unavailable(f"the dispatcher has been silent for {state['silentS']:.0f} s")
    if state["overdue"]:
        raise Unavailable(f"{state['overdue']} jobs run by nobody's lease")
    due = sum(one["due"] for one in state["backlog"].values())
    oldest_s = max((one["oldest_s"] for one in state["backlog"].values()), default=0.0)
    if due and not state["running"] and oldest_s > OVERDUE_S:
        raise Unavailable(f"{due} jobs are due and none is started")
    if warnings := state.get("warnings"):
        raise Degraded("; ".join(warnings))
    return f"{len(state['running'])} running, {due} waiting"


async def check_reg(studio: Studio) -> str:
    """A regressor that answers; without a starter for this embedder only merchants' own ones do."""
    version, state = await asyncio.gather(studio.embedder.version(), studio.regressor.status())
    if state.get("embedderVersion") != version:
        return "no starter for this embedder: merchants' own versions only"
    return f"{state['starter']}"


async def check_vto(studio: Studio) -> str:
    """A TryOn that answers.

    Raises:
        Unavailable: it is starting or down.
    """
    load = await studio.tryon.load()
    return f"{load.waiting} waiting, {load.model_version}"


async def check_db(studio: Studio) -> None:
    """PostgreSQL answers a query.

    Raises:
        Degraded: it takes no changes.
    """
    if not await studio.database.check():
        raise Degraded("the database takes no changes right now; searches go on")


async def check_cache(studio: Studio) -> None:
    """Valkey or Redis answers a ping.

    Raises:
        Unavailable: it doesn't; what that means for callers is told.
    """
    try:
        await studio.cache.check()
    except Unavailable as error:
        raise Unavailable(
            f"{error.detail}: nobody can sign in, and each replica counts limits by itself"
        ) from error


async def check_blob(studio: Studio) -> None:
    """The blob store takes and shows blobs."""
    await studio.blobs.check()


CHECKS: dict[str, Check] = {
    "rec": check_rec,
    "seg": check_seg,
    "reg": check_reg,
    "vto": check_vto,
    "jobs": check_jobs,
    "db": check_db,
    "cache": check_cache,
    "blob": check_blob,
}
SERVICES = tuple(CHECKS)


async def check_service(studio: Studio, name: str) -> ServiceHealth:
    """One part, within `TIMEOUT_S`; what it fails with is told, unless it is a surprise."""
    started_s = time.perf_counter()
    status: Status = "down"
    try:
        async with asyncio.timeout(TIMEOUT_S):
            detail = await CHECKS[name](studio)
        status = "ok"
    except Degraded as error:
        status, detail = "degraded", error.detail
    except StudioError as error:
        detail = error.detail
    except TimeoutError:
        detail = f"no answer within {TIMEOUT_S:g} s"
    return ServiceHealth(status, round((time.perf_counter() - started_s) * 1000, 1), detail)


def sum_up(services: dict[str, ServiceHealth]) -> StudioHealth:
    """Without `NEEDED` the studio is down, without others degraded."""
    if any(services[name].status == "down" for name in NEEDED):
        return StudioHealth("down", services)
    is_whole = all(health.status == "ok" for health in services.values())
    return StudioHealth("ok" if is_whole else "degraded", services)


class Watch(Generic[Found]):
    """One question: at most one check at a time, and one a `FRESH_S`, shared by all who ask.

    When this process is behind with its work, checks run out of time though the services are well;
    then what was found up to `REMEMBERED_S` ago is told, and at once.
    """

    def __init__(self, check: Callable[[], Awaitable[Found]]) -> None:
        """Nothing is asked yet."""
        self._ask = check
        self._running: asyncio.Task[Found] | None = None
        self._last: tuple[float, Found] | None = None

    async def check(self) -> Found:
        """The answer, or that of a moment ago."""
        if fresh := self._remember(FRESH_S):
            return fresh
        running = self.start()
        while not running.done():
            since_s = time.monotonic()
            await asyncio.wait({running}, timeout=TICK_S)
            is_behind = time.monotonic() - since_s > TICK_S + LATE_S
            if is_behind and (remembered := self._remember(REMEMBERED_S)):
                return remembered
        return running.result()

    def start(self) -> asyncio.Task[Found]:
        """The check that is running, or a new one."""
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._check(), name="health")
        return self._running

    async def _check(self) -> Found:
        if fresh := self._remember(FRESH_S):
            return fresh
        since_s = time.monotonic()
        found = await self._ask()
        if time.monotonic() - since_s > TIMEOUT_S + LATE_S:
            return self._remember(REMEMBERED_S) or found
        self._last = time.monotonic(), found
        return found

    def _remember(self, longest_s: float) -> Found | None:
        if self._last is None or time.monotonic() - self._last[0] > longest_s:
            return None
        return self._last[1]


class HealthWatch:
    """How the parts are, and their sum; many who ask cost what one does."""

    def __init__(self, studio: Studio) -> None:
        """Nothing is asked yet."""
        self._services = {name: Watch(partial(check_service, studio, name)) for name in SERVICES}
        self._whole = Watch(self._check_all)

    async def check(self) -> StudioHealth:
        """Every part at once."""
        return await self._whole.check()

    async def check_service(self, name: str) -> ServiceHealth:
        """One part."""
        return await self._services[name].check()

    async def _check_all(self) -> StudioHealth:
        found = await asyncio.gather(*(watch.start() for watch in self._services.values()))
        return sum_up(dict(zip(SERVICES, found, strict=True)))
