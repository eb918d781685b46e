"""A dispatcher in a process of its own, which tests can kill.

Its workers are processes too: a pool of forks, which start fast, or those of Ray. They run the
studio's own dispatcher, lease keeper, attempts and ending writer; only the handler is the test's.
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
from studio.job_types import JobRun, JobType, Outcome
from studio.ports import Studio

POLICY = RetryPolicy(first_s=0.05, longest_s=0.5, max_crashes=10_000)
FLAKINESS = 0.1
POOL = 16
"""Workers that are forked at the start."""


def args_of(kind: str) -> DispatcherArgs:
    """Short leases, so that tests need not wait long; the workers of Ray start more slowly."""
    lease_s = float(os.environ.get("FAULTS_LEASE_S", "1.0"))
    return DispatcherArgs(
        cpus=4 if kind == "pool" else 2, max_running=4 if kind == "pool" else 2,
        lease_s=lease_s, poll_s=0.2, start_s=30, grace_s=1.0, drain_s=2,
    )  # fmt: skip


async def run_steps(studio: Studio, run: JobRun) -> Outcome:
    """Runs steps that fail at random; its effect is a row that is written with the ending."""
    steps, pause_s = run.payload["steps"], run.payload["pause_s"]
    for step in range(run.done, steps):
        if random.random() < FLAKINESS:
            raise Unavailable("a temporary failure")
        await asyncio.sleep(pause_s)
        await run.progress(step + 1, steps, "steps")

    async def record(session: AsyncSession) -> None:
        await session.exec(  # type: ignore[call-overload]
            text("INSERT INTO job_effect (job_id) VALUES (:id)"), params={"id": run.job_id}
        )

    return Outcome({"steps": steps}, record)


HANDLERS = {
    "steps": Handler(JobType("steps", role="customer"), run_steps, num_cpus=1.0, stall_s=30)
}


def bare_studio() -> Studio:
    """A studio that has only settings and a database."""
    url = os.environ["FAULTS_DATABASE_URL"]
    return Studio(Settings(database_url=url), Database(url, pool_size=2))


@asynccontextmanager
async def open_bare_studio() -> AsyncIterator[Studio]:
    """Opens the studio of a Ray task."""
    studio = bare_studio()
    try:
        yield studio
    finally:
        await studio.aclose()


async def work(pipe: Connection) -> None:
    """Runs the claims that come through the pipe; sends whether each ended."""
    studio = bare_studio()
    keeper = LeaseKeeper(studio.settings.required("database_url"))
    with suppress(EOFError, OSError):  # the dispatcher has died
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
    """A process of the pool and its pipe."""

    pid: int
    pipe: Connection


def fork_workers(count: int) -> list[Worker]:
    """Forks the workers; call it before this process has threads."""
    workers: list[Worker] = []
    for _ in range(count):
        ours, theirs = multiprocessing.Pipe()
        pid = os.fork()
        if pid == 0:
            for other in (*workers, Worker(0, ours)):  # so that a worker ends with its dispatcher
                other.pipe.close()
            main_of_worker(theirs)
            os._exit(0)
        theirs.close()
        workers.append(Worker(pid, ours))
    return workers


class PoolExecution:
    """A claim that a worker runs."""

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
    """Reuses its workers, like Ray; when all have been killed the dispatcher ends, too."""

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
    url = os.environ["FAULTS_DATABASE_URL"]
    database = Database(url, pool_size=2)
    await Dispatcher(database, executor, HANDLERS, args_of(kind), POLICY, listen_url=url).run()


def main(kind: str, environment: dict[str, str]) -> None:
    """Runs one dispatcher process from start to end."""
    os.environ.update(environment)
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    logs = os.open(os.environ.get("FAULTS_LOG", os.devnull), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(logs, 1)
    os.dup2(logs, 2)
    asyncio.run(dispatch(kind, executor_of(kind)))
