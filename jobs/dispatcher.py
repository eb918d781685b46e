"""Starts attempts of due jobs where there is room, watches them, gives back what nobody runs."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol
from uuid import UUID, uuid4

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db.engine import Database
from db.job_claims import find_starved_type, renew_leases, watch_claims
from db.jobs import CHANNEL
from db.notices import listen
from errors import StudioError
from jobs.capacity import Capacity, starved, wanted
from jobs.claim import Claim, claim
from jobs.handler import Handler, Handlers
from jobs.reaper import reap_dead, reap_expired, release
from jobs.retry import RetryPolicy
from studio.background import Background

LONGEST_LEASE_S = 30.0

log = structlog.get_logger("studio.jobs")


@dataclass(frozen=True)
class DispatcherArgs:
    """How much one dispatcher runs, and how soon it notices things.

    Attributes:
        cpus, max_running: what its jobs may use together, and how many they may be.
        lease_s: a job is taken from a worker that was silent for so long; at most 30.
        poll_s: how often it looks without a hint.
        start_s: a worker that has not begun after so long is given up.
        grace_s: a worker that does not end when it should is killed after so long.
        drain_s: a stop waits so long for what runs.
        patience_s: a due job that is too large for what is free waits so long; then nothing else
            is started until it fits.
    """

    cpus: float = 1.0
    max_running: int = 2
    lease_s: float = 15.0
    poll_s: float = 1.0
    start_s: float = 120.0
    grace_s: float = 10.0
    drain_s: float = 5.0
    patience_s: float = 60.0

    def __post_init__(self) -> None:
        if not 0 < self.lease_s <= LONGEST_LEASE_S:
            raise ValueError(f"lease_s must be more than 0 and at most {LONGEST_LEASE_S:g}")


class Execution(Protocol):
    """A worker that runs one claim."""

    async def wait(self) -> bool:
        """Until it has ended; False where it died before it could write how."""
        ...

    def kill(self) -> None: ...


class Executor(Protocol):
    """Ray tasks (`jobs.runner`), or whatever else runs claims."""

    def start(self, claim: Claim, handler: Handler) -> Execution: ...


@dataclass
class Running:
    """A started attempt and what the dispatcher knows of it."""

    claim: Claim
    execution: Execution
    ended: asyncio.Task[bool]
    started_s: float = field(default_factory=time.monotonic)
    unwanted_s: float | None = None
    """Since when it should have ended by itself."""


class Dispatcher:
    """One of any number: the rows decide, so two of them never run one claim."""

    def __init__(
        self,
        database: Database,
        executor: Executor,
        handlers: Handlers,
        args: DispatcherArgs,
        policy: RetryPolicy,
        *,
        listen_url: str | None = None,
    ) -> None:
        self.name = f"dispatcher-{uuid4().hex[:8]}"
        self._database = database
        self._executor = executor
        self._handlers = handlers
        self._deadlines = {name: one.deadline_s for name, one in handlers.items()}
        self._args = args
        self._capacity = Capacity(cpus=args.cpus, max_running=args.max_running)
        self._policy = policy
        self._listen_url = listen_url
        self._running: dict[tuple[UUID, int], Running] = {}
        self._wake = asyncio.Event()
        self._draining = False
        self._looked_s = 0.0
        self._reserved: str | None = None
        self._reap_from_s = 0.0
        self.turned_s = time.monotonic()
        self.background = Background()

    @property
    def running(self) -> list[Claim]:
        """What it runs now."""
        return [one.claim for one in self._running.values()]

    async def run(self) -> None:
        """Until `drain` is called; a database that is away is waited for."""
        if self._listen_url is not None:
            self.background.start("job-notices", partial(self._listen, self._listen_url))
        try:
            while not self._draining:
                await self._turn_safely()
            until_s = time.monotonic() + self._args.drain_s
            while self._running and time.monotonic() < until_s:
                await self._turn_safely()
        finally:
            await self.background.aclose()
            await self._give_back()

    def drain(self) -> None:
        """Nothing new is started; `run` returns when what runs has ended, or is given back."""
        self._draining = True
        self._wake.set()

    async def _turn_safely(self) -> None:
        try:
            await self._turn()
            self.turned_s = time.monotonic()
        except (StudioError, SQLAlchemyError) as error:
            log.warning("dispatcher.waits", reason=str(error))
            # Workers could not renew either: they come first when the database is back.
            self._reap_from_s = time.monotonic() + self._args.lease_s
            await asyncio.sleep(min(self._args.poll_s, 1.0))
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), self._args.poll_s)
        self._wake.clear()

    async def _turn(self) -> None:
        await self._collect()
        if time.monotonic() - self._looked_s >= self._args.poll_s:
            await self._look_after()
            if time.monotonic() >= self._reap_from_s:
                await reap_expired(self._database, self._policy)
            await self._reserve()
            self._looked_s = time.monotonic()
        while not self._draining and await self._claim():
            pass

    async def _collect(self) -> None:
        """Attempts that have ended leave; for those that died it is written down."""
        over = [one for one in self._running.values() if one.ended.done()]
        await reap_dead(
            self._database, self._policy, [one.claim for one in over if not one.ended.result()]
        )
        for one in over:
            del self._running[one.claim.key]

    async def _reserve(self) -> None:
        """Keeps room free for a job that smaller ones would otherwise overtake for ever."""
        large, small = starved(self._handlers, self._types, **self._capacity)
        if self._reserved is not None and self._reserved not in large:
            return  # it fits by now, or nothing does; the next claim of its type ends this
        self._reserved = None
        if not large:
            return
        alone = [name for name, handler in self._handlers.items() if handler.alone]
        async with self._database.read() as session:
            self._reserved = await find_starved_type(
                session, large=large, small=small, alone=alone, patience_s=self._args.patience_s
            )

    @property
    def _types(self) -> list[str]:
        return [one.claim.type for one in self._running.values()]

    async def _claim(self) -> bool:
        """Whether there may be more to claim: something was, and there is room left."""
        room = wanted(self._handlers, self._types, reserved=self._reserved, **self._capacity)
        for one in room:
            claims = await claim(
                self._database, one, owner=self.name, lease_s=self._args.lease_s,
                deadlines=self._deadlines,
            )  # fmt: skip
            for taken in claims:
                self._start(taken)
            if claims:
                self._reserved = None
                return True
        if room and self._reserved is not None:  # another dispatcher has it, or nobody wants it
            self._reserved = None
            return True
        return False

    def _start(self, taken: Claim) -> None:
        execution = self._executor.start(taken, self._handlers[taken.type])
        ended = asyncio.create_task(execution.wait(), name=f"job {taken.id}")
        ended.add_done_callback(lambda _: self._wake.set())
        self._running[taken.key] = Running(taken, execution, ended)

    async def _look_after(self) -> None:
        """Renews what no worker has taken over yet; ends what should have ended."""
        if not self._running:
            return
        held = [one.claim.held for one in self._running.values()]
        async with self._database.transaction() as session:
            rows = await watch_claims(session, held, grace_s=self._args.grace_s)
            mine = [
                {"id": row["id"], "fence": row["fence"]}
                for row in rows if row["leased_by"] == self.name
            ]  # fmt: skip
            if mine:
                await renew_leases(
                    session, mine, owner=self.name, former=self.name, lease_s=self._args.lease_s
                )
        found = {(row["id"], row["fence"]): row for row in rows}
        for one in list(self._running.values()):
            row = found.get(one.claim.key)
            if row is None or row["cancel_requested"] or row["is_late"]:
                await self._end_unwanted(one)
            elif row["leased_by"] == self.name and self._is_slow_to_start(one):
                one.execution.kill()
                await release(self._database, [one.claim])

    def _is_slow_to_start(self, one: Running) -> bool:
        return time.monotonic() - one.started_s > self._args.start_s

    async def _end_unwanted(self, one: Running) -> None:
        """Killed after the grace; `_collect` then writes what became of the job."""
        now_s = time.monotonic()
        one.unwanted_s = one.unwanted_s or now_s
        if now_s - one.unwanted_s > self._args.grace_s and not one.ended.done():
            log.warning("job.killed", job_id=str(one.claim.id))
            one.execution.kill()

    async def _give_back(self) -> None:
        """What did not end in time starts again elsewhere, at once."""
        left = list(self._running.values())
        for one in left:
            one.execution.kill()
        with suppress(StudioError, SQLAlchemyError):  # their leases will run out
            await release(self._database, [one.claim for one in left])
        for one in left:
            one.ended.cancel()
        await asyncio.gather(*(one.ended for one in left), return_exceptions=True)
        self._running.clear()

    async def _listen(self, url: str) -> None:
        while True:
            with suppress(StudioError):
                await listen(url, CHANNEL, self._wake.set)
            await asyncio.sleep(self._args.poll_s)
