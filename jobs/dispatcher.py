"""Claims due jobs that fit on its machine, starts their attempts and watches them."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol
from uuid import UUID, uuid4

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db.connect import DatabaseUrl
from db.engine import Database
from db.job_claims import find_starved_type, renew_leases, watch_claims
from db.jobs import CHANNEL
from db.notices import listen
from errors import StudioError
from jobs.capacity import Capacity, find_starving_types, plan_claims
from jobs.claim import Claim, claim
from jobs.handler import Handler, Handlers
from jobs.reaper import reap_dead, reap_expired, release
from jobs.retry import RetryPolicy
from studio.background import Background

LONGEST_LEASE_S = 30.0

log = structlog.get_logger("studio.jobs")


@dataclass(frozen=True)
class DispatcherArgs:
    """The capacity and the timeouts of one dispatcher.

    Attributes:
        cpus, max_running: the CPUs that its jobs may use together, and how many may run.
        lease_s: a job is taken from a worker that has not renewed its lease for this many
            seconds; at most 30.
        poll_s: the queue is read after this many seconds without a notification.
        start_s: a worker that has not started after this many seconds is given up.
        grace_s: a worker that was asked to end is killed after this many seconds.
        drain_s: how long a shutdown waits for running jobs.
        patience_s: how long a due job that is too large for the free capacity waits before
            nothing else is started until it fits.
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
        """Waits until the worker ends; False where it died before it could write the ending."""
        ...

    def kill(self) -> None:
        """Ends the worker at once."""
        ...


class Executor(Protocol):
    """Starts workers: Ray tasks (`jobs.runner`), or the processes and tasks of a test."""

    def start(self, claim: Claim, handler: Handler) -> Execution:
        """Starts one attempt and returns at once."""
        ...


@dataclass
class RunningJob:
    """A started attempt and what the dispatcher knows about it."""

    claim: Claim
    execution: Execution
    ended: asyncio.Task[bool]
    started_s: float = field(default_factory=time.monotonic)
    overdue_s: float | None = None
    """When it was first noticed that the attempt should have ended, by `time.monotonic`."""


class Dispatcher:
    """One of any number of dispatchers; a row's lock and fence keep two from running one claim."""

    def __init__(
        self,
        database: Database,
        executor: Executor,
        handlers: Handlers,
        args: DispatcherArgs,
        policy: RetryPolicy,
        *,
        listen_url: DatabaseUrl | None = None,
    ) -> None:
        self.name = f"dispatcher-{uuid4().hex[:8]}"
        self._database = database
        self._executor = executor
        self._handlers = handlers
        self._deadlines = {name: handler.job_type.deadline_s for name, handler in handlers.items()}
        self._args = args
        self._capacity = Capacity(cpus=args.cpus, max_running=args.max_running)
        self._policy = policy
        self._listen_url = listen_url
        self._running: dict[tuple[UUID, int], RunningJob] = {}
        self._wake = asyncio.Event()
        self._draining = False
        self._last_look_s = 0.0
        self._reserved: str | None = None
        self._reap_from_s = 0.0
        self.turned_s = time.monotonic()
        self.background = Background()

    @property
    def running(self) -> list[Claim]:
        """The claims that it runs now."""
        return [job.claim for job in self._running.values()]

    async def run(self) -> None:
        """Runs until `drain` is called; waits while the database is unreachable."""
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
        """Stops claiming; `run` returns when its jobs have ended or are queued again."""
        self._draining = True
        self._wake.set()

    async def _turn_safely(self) -> None:
        try:
            await self._turn()
            self.turned_s = time.monotonic()
        except (StudioError, SQLAlchemyError) as error:
            log.warning("dispatcher.waits", reason=str(error))
            # Workers could not renew their leases either: let them do it before jobs are reaped.
            self._reap_from_s = time.monotonic() + self._args.lease_s
            await asyncio.sleep(min(self._args.poll_s, 1.0))
        with suppress(TimeoutError):
            async with asyncio.timeout(self._args.poll_s):
                await self._wake.wait()
        self._wake.clear()

    async def _turn(self) -> None:
        await self._collect()
        if time.monotonic() - self._last_look_s >= self._args.poll_s:
            await self._look_after()
            if time.monotonic() >= self._reap_from_s:
                await reap_expired(self._database, self._policy)
            await self._reserve()
            self._last_look_s = time.monotonic()
        while not self._draining and await self._claim():
            pass

    async def _collect(self) -> None:
        """Forgets attempts that have ended; the jobs of workers that died are reaped."""
        ended = [job for job in self._running.values() if job.ended.done()]
        dead = [job.claim for job in ended if not job.ended.result()]
        await reap_dead(self._database, self._policy, dead)
        for job in ended:
            del self._running[job.claim.key]

    async def _reserve(self) -> None:
        """Reserves the free capacity for a large job that smaller ones keep overtaking."""
        large, small = find_starving_types(self._handlers, self._types, **self._capacity)
        if self._reserved is not None and self._reserved not in large:
            return  # it fits by now, or no type does; the next claim ends the reservation
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
        return [job.claim.type for job in self._running.values()]

    async def _claim(self) -> bool:
        """Claims and starts jobs; returns whether it is worth trying to claim more."""
        requests = plan_claims(
            self._handlers, self._types, reserved=self._reserved, **self._capacity
        )
        for request in requests:
            claims = await claim(
                self._database, request, owner=self.name, lease_s=self._args.lease_s,
                deadlines=self._deadlines,
            )  # fmt: skip
            for new_claim in claims:
                self._start(new_claim)
            if claims:
                self._reserved = None
                return True
        if requests and self._reserved is not None:  # the waiting job was claimed or cancelled
            self._reserved = None
            return True
        return False

    def _start(self, new_claim: Claim) -> None:
        execution = self._executor.start(new_claim, self._handlers[new_claim.type])
        ended = asyncio.create_task(execution.wait(), name=f"job {new_claim.id}")
        ended.add_done_callback(lambda _: self._wake.set())
        self._running[new_claim.key] = RunningJob(new_claim, execution, ended)

    async def _look_after(self) -> None:
        """Renews the leases that no worker has taken over yet; ends overdue attempts."""
        if not self._running:
            return
        claims = [job.claim.row for job in self._running.values()]
        async with self._database.transaction() as session:
            rows = await watch_claims(session, claims, grace_s=self._args.grace_s)
            mine = [
                {"id": row["id"], "fence": row["fence"]}
                for row in rows if row["leased_by"] == self.name
            ]  # fmt: skip
            if mine:
                await renew_leases(
                    session, mine, owner=self.name, former=self.name, lease_s=self._args.lease_s
                )
        rows_by_key = {(row["id"], row["fence"]): row for row in rows}
        for job in list(self._running.values()):
            row = rows_by_key.get(job.claim.key)
            if row is None or row["cancel_requested"] or row["is_late"]:
                await self._end_overdue(job)
            elif row["leased_by"] == self.name and self._is_slow_to_start(job):
                job.execution.kill()
                await release(self._database, [job.claim])

    def _is_slow_to_start(self, job: RunningJob) -> bool:
        return time.monotonic() - job.started_s > self._args.start_s

    async def _end_overdue(self, job: RunningJob) -> None:
        """Kills the worker after the grace period; `_collect` then writes the job's ending."""
        now_s = time.monotonic()
        job.overdue_s = job.overdue_s or now_s
        if now_s - job.overdue_s > self._args.grace_s and not job.ended.done():
            log.warning("job.killed", job_id=str(job.claim.id))
            job.execution.kill()

    async def _give_back(self) -> None:
        """Kills the workers that are left and queues their jobs again, for other dispatchers."""
        jobs = list(self._running.values())
        for job in jobs:
            job.execution.kill()
        with suppress(StudioError, SQLAlchemyError):  # else their leases expire
            await release(self._database, [job.claim for job in jobs])
        for job in jobs:
            job.ended.cancel()
        await asyncio.gather(*(job.ended for job in jobs), return_exceptions=True)
        self._running.clear()

    async def _listen(self, url: DatabaseUrl) -> None:
        while True:
            with suppress(StudioError):
                await listen(url, CHANNEL, self._wake.set)
            await asyncio.sleep(self._args.poll_s)
