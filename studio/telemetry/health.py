"""Checks the health of the studio's services, and combines it into one status."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Literal, TypeVar

from errors import StudioError, Unavailable
from studio.context import shared_task
from studio.ports import Studio

TIMEOUT_S = 1.0
SILENT_S = 15.0
OVERDUE_S = 60.0
TICK_S = 0.1
LATE_S = 0.15
"""A timer that is this late shows that the event loop of this process is overloaded."""
OLDEST_RESULT_S = 15.0
FRESH_S = 1.0
"""Calls within this time get the same result, because anyone may ask for health without limit."""
NEEDED = ("rec", "db")

Status = Literal["ok", "degraded", "down"]
Result = TypeVar("Result")
Check = Callable[[Studio], Awaitable[str | None]]


class Degraded(StudioError):
    """A service answers, but does not work fully."""


@dataclass(frozen=True)
class ServiceHealth:
    """The health of one service: whether it answers, how fast, and what it reports."""

    status: Status
    latency_ms: float
    detail: str | None = None


@dataclass(frozen=True)
class StudioHealth:
    """The health of all services, and their combined status."""

    status: Status
    services: dict[str, ServiceHealth]


async def check_search(studio: Studio) -> Mapping[str, object]:
    """Checks that the embedder answers and an index of its version is active; the index's status.

    During a rollout it may be the index of the other embedder, until a replica has switched.

    Raises:
        Unavailable: search does not work.
    """
    versions, state = await asyncio.gather(studio.embedder.served_versions(), studio.index.status())
    if not state.get("version"):
        raise Unavailable("no index is active")
    if state.get("embedderVersion") not in versions:
        raise Unavailable("the index was built for another embedder")
    return state


async def check_rec(studio: Studio) -> str:
    """Checks that search works and that there is something to find.

    Raises:
        Unavailable: search does not work, or the catalogue is empty.
    """
    state = await check_search(studio)
    if not state.get("count"):
        raise Unavailable("the catalogue is empty")
    return f"{state['count']} products, index {state['version']}"


async def check_ready(studio: Studio) -> None:
    """Checks what a search needs; a catalogue without products is searched without an error.

    Raises:
        Unavailable: searches can't be answered.
    """
    await asyncio.gather(check_search(studio), studio.database.check())


async def check_seg(studio: Studio) -> str:
    """Checks that the segmenter answers."""
    return await studio.segmenter.version()


async def check_jobs(studio: Studio) -> str:
    """Checks that the dispatcher reads the queue and that no running job has lost its lease.

    Raises:
        Unavailable: queued jobs are not started.
        Degraded: jobs run, but the dispatcher has warnings for an operator.
    """
    state: Mapping[str, Any] = await studio.dispatcher.status()
    if state["silentS"] > SILENT_S:
        raise Unavailable(f"the dispatcher has been silent for {state['silentS']:.0f} s")
    if state["overdue"]:
        raise Unavailable(f"{state['overdue']} running jobs have lost their lease")
    backlog = state["backlog"].values()
    due = sum(queue["due"] for queue in backlog)
    oldest_s = max((queue["oldest_s"] for queue in backlog), default=0.0)
    if due and not state["running"] and oldest_s > OVERDUE_S:
        raise Unavailable(f"{due} jobs are due and none is started")
    if warnings := state.get("warnings"):
        raise Degraded("; ".join(warnings))
    return f"{len(state['running'])} running, {due} waiting"


async def check_reg(studio: Studio) -> str:
    """Checks that the regressor answers, and whether its starter fits the embedder's version."""
    version, state = await asyncio.gather(studio.embedder.version(), studio.regressor.status())
    if state.get("embedderVersion") != version:
        return "no starter for this embedder: merchants' own versions only"
    return f"{state['starter']}"


async def check_vto(studio: Studio) -> str:
    """Checks that TryOn answers.

    Raises:
        Unavailable: it is starting or down.
    """
    load = await studio.tryon.load()
    return f"{load.waiting} waiting, {load.model_version}"


async def check_db(studio: Studio) -> None:
    """Checks that PostgreSQL answers a query and accepts changes.

    Raises:
        Degraded: it is read-only.
    """
    if not await studio.database.check():
        raise Degraded("the database takes no changes right now; searches still work")


async def check_cache(studio: Studio) -> None:
    """Checks that Valkey or Redis answers a ping.

    Raises:
        Unavailable: it doesn't; the message says what that means for callers.
    """
    try:
        await studio.cache.check()
    except Unavailable as error:
        raise Unavailable(
            f"{error.detail}: nobody can sign in, and each replica counts limits by itself"
        ) from error


async def check_blob(studio: Studio) -> None:
    """Checks that the blob store can be used."""
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


async def check_service(studio: Studio, check: Check) -> ServiceHealth:
    """The health by one check, made within `TIMEOUT_S`; unexpected errors are raised."""
    started_s = time.perf_counter()
    status: Status = "down"
    try:
        async with asyncio.timeout(TIMEOUT_S):
            detail = await check(studio)
        status = "ok"
    except Degraded as error:
        status, detail = "degraded", error.detail
    except StudioError as error:
        detail = error.detail
    except TimeoutError:
        detail = f"no answer within {TIMEOUT_S:g} s"
    return ServiceHealth(status, round((time.perf_counter() - started_s) * 1000, 1), detail)


def sum_up(services: dict[str, ServiceHealth]) -> StudioHealth:
    """The health of the studio.

    It is `down` if a service of `NEEDED` is down, and `degraded` if any other service is not ok.
    """
    if any(services[name].status == "down" for name in NEEDED):
        return StudioHealth("down", services)
    is_whole = all(health.status == "ok" for health in services.values())
    return StudioHealth("ok" if is_whole else "degraded", services)


class SharedCheck(Generic[Result]):
    """A check that runs at most once at a time and once in `FRESH_S`, shared by all callers.

    If the event loop of this process is overloaded, checks time out although the services are well.
    Then callers get the last result at once, if it is at most `OLDEST_RESULT_S` old.
    """

    def __init__(self, check: Callable[[], Awaitable[Result]]) -> None:
        """No check runs before the first call."""
        self._run_check = check
        self._running: asyncio.Task[Result] | None = None
        self._last: tuple[float, Result] | None = None

    async def check(self) -> Result:
        """The result of a check, or the last one while it is fresh."""
        if fresh := self._last_result(FRESH_S):
            return fresh
        running = self.start()
        while not running.done():
            since_s = time.monotonic()
            await asyncio.wait({running}, timeout=TICK_S)
            is_behind = time.monotonic() - since_s > TICK_S + LATE_S
            if is_behind and (last := self._last_result(OLDEST_RESULT_S)):
                return last
        return running.result()

    def start(self) -> asyncio.Task[Result]:
        """The running check, or a new one."""
        if self._running is None or self._running.done():
            self._running = shared_task(self._check(), name="health")
        return self._running

    async def _check(self) -> Result:
        if fresh := self._last_result(FRESH_S):
            return fresh
        since_s = time.monotonic()
        result = await self._run_check()
        if time.monotonic() - since_s > TIMEOUT_S + LATE_S:
            return self._last_result(OLDEST_RESULT_S) or result
        self._last = time.monotonic(), result
        return result

    def _last_result(self, max_age_s: float) -> Result | None:
        if self._last is None or time.monotonic() - self._last[0] > max_age_s:
            return None
        return self._last[1]


class HealthWatch:
    """Shared checks of each service and of all together; many callers cost no more than one."""

    def __init__(self, studio: Studio) -> None:
        """No check runs before the first call."""
        self._services = {
            name: SharedCheck(partial(check_service, studio, check))
            for name, check in CHECKS.items()
        }
        self._ready = SharedCheck(partial(check_service, studio, check_ready))
        self._whole = SharedCheck(self._check_all)

    async def check(self) -> StudioHealth:
        """The health of every service."""
        return await self._whole.check()

    async def check_service(self, name: str) -> ServiceHealth:
        """The health of one service."""
        return await self._services[name].check()

    async def require_search(self) -> None:
        """Checks what a search needs, and nothing else.

        Raises:
            Unavailable: this process can't answer searches; the message says which part is down.
        """
        health = await self._ready.check()
        if health.status == "down":
            raise Unavailable(f"searches can't be answered: {health.detail}")

    async def _check_all(self) -> StudioHealth:
        results = await asyncio.gather(*(check.start() for check in self._services.values()))
        return sum_up(dict(zip(SERVICES, results, strict=True)))
