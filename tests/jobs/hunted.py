"""A dispatcher in a process of its own, to be killed.

Its workers are processes too: of a pool that forks them fast, or Ray's. Both run the studio's own
dispatcher, lease keeper, attempts and ledger; only the handler is the test's.
"""

import asyncio
import logging
import multiprocessing
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from db.engine import AsyncSession, Database
from errors import StudioError, Unavailable
from jobs.attempt import run_leased
from jobs.claim import Claim
from jobs.dispatcher import Dispatcher, DispatcherArgs, Executor
from jobs.handler import Handler
from jobs.lease import LeaseKeeper
from jobs.retry import RetryPolicy
from settings import Settings
from studio.job_types import JobRun, Outcome
from studio.ports import Studio

POLICY = RetryPolicy(first_s=0.05, longest_s=0.5, max_crashes=10_000)
FLAKINESS = 0.1
POOL = 16
"""Workers that are forked at the start, to be used and killed."""


def args_of(kind: str) -> DispatcherArgs:
    """Short leases, so that a test need not wait for them; Ray's workers start slower."""
    lease_s = float(os.environ.get("HUNT_LEASE_S", "1.0"))
    return DispatcherArgs(
        cpus=4 if kind == "pool" else 2, max_running=4 if kind == "pool" else 2,
        lease_s=lease_s, poll_s=0.2, start_s=30, grace_s=1.0, drain_s=2,
    )  # fmt: skip


async def hunt(studio: Studio, run: JobRun) -> Outcome:
    """A few steps, some of which fail for a while; its effect is a row in the finish itself."""
    steps, pause_s = run.payload["steps"], run.payload["pause_s"]
    for step in range(run.done, steps):
        if random.random() < FLAKINESS:
            raise Unavailable("one of the failures that pass")
        await asyncio.sleep(pause_s)
        await run.progress(step + 1, steps, "steps")

    async def record(session: AsyncSession) -> None:
        await session.exec(  # type: ignore[call-overload]
            text("INSERT INTO hunt_effect (job_id) VALUES (:id)"), params={"id": run.job_id}
        )

    return Outcome({"steps": steps}, record)


HANDLERS = {"hunt": Handler(hunt, num_cpus=1.0, stall_s=30)}


def bare_studio() -> Studio:
    """A studio of which only the settings and the database are there."""
    url = os.environ["HUNT_DATABASE_URL"]
    return Studio(Settings(database_url=url), Database(url, pool_size=2))


@asynccontextmanager
async def open_bare_studio() -> AsyncIterator[Studio]:
    """What the Ray task opens."""
    studio = bare_studio()
    try:
        yield studio
    finally:
        await studio.aclose()


async def work(pipe: Connection) -> None:
    """Claims come in, one after the other; whether each was ended goes out."""
    studio = bare_studio()
    keeper = LeaseKeeper(studio.settings.required("database_url"))
    with suppress(EOFError, OSError):  # the dispatcher is gone
        while True:
            claim = await asyncio.to_thread(pipe.recv)
            ended = True
            try:
                await run_leased(studio, claim, HANDLERS[claim.type], POLICY, keeper)
            except (StudioError, SQLAlchemyError):
                ended = False
            pipe.send(ended)
    os._exit(0)


def main_of_worker(pipe: Connection) -> None:
    asyncio.run(work(pipe))


@dataclass
class Worker:
    """A process of the pool and the line to it."""

    pid: int
    pipe: Connection


def fork_workers(count: int) -> list[Worker]:
    """While this process has no threads yet."""
    workers: list[Worker] = []
    for _ in range(count):
        ours, theirs = multiprocessing.Pipe()
        pid = os.fork()
        if pid == 0:
            for other in (*workers, Worker(0, ours)):  # so that they end with their dispatcher
                other.pipe.close()
            main_of_worker(theirs)
            os._exit(0)
        theirs.close()
        workers.append(Worker(pid, ours))
    return workers


class PoolExecution:
    """A claim that a worker has."""

    def __init__(self, idle: list[Worker], worker: Worker) -> None:
        self._idle, self._worker = idle, worker

    async def wait(self) -> bool:
        try:
            ended = bool(await asyncio.to_thread(self._worker.pipe.recv))
        except (EOFError, OSError):
            return False
        self._idle.append(self._worker)
        return ended

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._worker.pid, signal.SIGKILL)


class PoolExecutor:
    """Workers are kept, like Ray's; when all have been killed the dispatcher ends, too."""

    def __init__(self, workers: list[Worker]) -> None:
        self._idle = workers

    def start(self, claim: Claim, handler: Handler) -> PoolExecution:
        while self._idle:
            worker = self._idle.pop()
            with suppress(OSError):
                worker.pipe.send(claim)
                return PoolExecution(self._idle, worker)
        os._exit(1)


def executor_of(kind: str) -> Executor:
    if kind == "pool":
        return PoolExecutor(fork_workers(POOL))
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    from jobs.runner import RayExecutor

    return RayExecutor(open_bare_studio, POLICY)


async def dispatch(kind: str, executor: Executor) -> None:
    url = os.environ["HUNT_DATABASE_URL"]
    database = Database(url, pool_size=2)
    await Dispatcher(database, executor, HANDLERS, args_of(kind), POLICY, listen_url=url).run()


def main(kind: str, environment: dict[str, str]) -> None:
    """The whole life of one dispatcher process."""
    os.environ.update(environment)
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    logs = os.open(os.environ.get("HUNT_LOG", os.devnull), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(logs, 1)
    os.dup2(logs, 2)
    asyncio.run(dispatch(kind, executor_of(kind)))
