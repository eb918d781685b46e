"""Fault injection: a queue of jobs, dispatchers that are killed, and checks at the end."""

import asyncio
import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random

import asyncpg
import psutil

from db.engine import Database
from db.migrate import upgrade
from local.servers.postgres import Postgres
from settings import PROJECT_ROOT
from studio.job_types import JobType, enqueue
from tests.jobs import dispatcher_process

STEPS = JobType("steps", role="customer", max_attempts=10_000)
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.jobs.dispatcher_process"])
POSTGRES_OWN = (
    "checkpointer", "background writer", "walwriter", "logger", "io worker", "launcher", "startup",
)  # fmt: skip
"""PostgreSQL's processes that are no backend; it may stay in recovery where one is killed there."""


class DispatcherProcess:
    """A dispatcher process with its workers; it is started again after it was killed."""

    def __init__(self, kind: str, url: str, lease_s: float) -> None:
        self._kind = kind
        self._environment = {
            "FAULTS_DATABASE_URL": url, "FAULTS_LEASE_S": str(lease_s), "RAY_AUTH_MODE": "disabled",
            "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(PROJECT_ROOT),
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        }  # fmt: skip
        self.process = self._start()

    def _start(self) -> BaseProcess:
        process = CONTEXT.Process(
            target=dispatcher_process.main, args=(self._kind, self._environment)
        )
        process.start()
        return process

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def keep_alive(self) -> None:
        if not self.process.is_alive():
            self.process = self._start()

    def family(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.pid).children(recursive=True)
        return []

    def workers(self) -> list[psutil.Process]:
        """The processes that run claims."""
        return [process for process in self.family() if self._is_worker(process)]

    def raylets(self) -> list[psutil.Process]:
        return [process for process in self.family() if name_of(process) == "raylet"]

    def _is_worker(self, process: psutil.Process) -> bool:
        with suppress(psutil.Error):
            if self._kind == "ray":
                return title_of(process).startswith("ray::")
            return bool(process.status() != psutil.STATUS_ZOMBIE and process.num_threads() > 1)
        return False

    def end(self) -> None:
        for process in self.family():
            with suppress(psutil.Error):
                process.kill()
        self.process.kill()
        self.process.join()


def name_of(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return str(process.name())
    return ""


def title_of(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


class FaultInjector:
    """Kills and suspends random processes."""

    def __init__(
        self, random: Random, server: Postgres, targets: list[DispatcherProcess], lease_s: float
    ) -> None:
        self._random = random
        self._server = server
        self._targets = targets
        self._lease_s = lease_s
        self._stopped: list[tuple[float, psutil.Process]] = []
        self.faults: Counter[str] = Counter()

    def inject(self) -> None:
        """Injects one fault; resumes processes that were suspended for long enough."""
        self._wake()
        self._keep_alive()
        faults: list[tuple[float, str, Callable[[], None]]] = [
            (6, "worker killed", lambda: self._kill(self._workers())),
            (4, "worker stopped past its lease", lambda: self._stop(self._workers())),
            (2, "dispatcher killed", lambda: self._kill(self._dispatchers())),
            (2, "dispatcher stopped past its lease", lambda: self._stop(self._dispatchers())),
            (1, "raylet killed", lambda: self._kill(self._raylets())),
            (1, "database backend killed", self._kill_backend),
            (0.5, "database crashed and started again", self._crash_database),
        ]
        _, name, fault = self._random.choices(faults, [weight for weight, _, _ in faults])[0]
        before = self.faults.total()
        fault()
        if self.faults.total() == before:
            self.faults[name] += 1

    def resume_all(self) -> None:
        """Resumes every suspended process."""
        self._wake(everything=True)
        self._keep_alive()

    def _keep_alive(self) -> None:
        """Restarts what has ended, also a server whose recovery was killed."""
        if self._server.process.exit_code is not None:
            self._server.start()
        for target in self._targets:
            target.keep_alive()

    def _wake(self, *, everything: bool = False) -> None:
        now_s = time.monotonic()
        for entry in list(self._stopped):
            if everything or entry[0] <= now_s:
                self._stopped.remove(entry)
                with suppress(psutil.Error):
                    entry[1].resume()

    def _kill(self, candidates: list[psutil.Process]) -> None:
        if not candidates:
            self.faults["nothing to kill"] += 1
            return
        with suppress(psutil.Error):
            self._random.choice(candidates).kill()

    def _stop(self, candidates: list[psutil.Process]) -> None:
        if not candidates:
            self.faults["nothing to stop"] += 1
            return
        process = self._random.choice(candidates)
        with suppress(psutil.Error):
            process.suspend()
            until_s = time.monotonic() + self._lease_s * self._random.uniform(1.2, 3.0)
            self._stopped.append((until_s, process))

    def _workers(self) -> list[psutil.Process]:
        return [worker for target in self._targets for worker in target.workers()]

    def _dispatchers(self) -> list[psutil.Process]:
        processes = []
        for target in self._targets:
            with suppress(psutil.Error):
                processes.append(psutil.Process(target.pid))
        return processes

    def _raylets(self) -> list[psutil.Process]:
        return [raylet for target in self._targets for raylet in target.raylets()]

    def _kill_backend(self) -> None:
        """Kills a backend, after which PostgreSQL ends every session and recovers."""
        backends = []
        with suppress(psutil.Error):
            for process in psutil.Process(self._server.process.pid).children():
                if not any(words in title_of(process) for words in POSTGRES_OWN):
                    backends.append(process)
        self._kill(backends)

    def _crash_database(self) -> None:
        os.kill(self._server.process.pid, signal.SIGQUIT)  # at once, without a checkpoint
        self._server.process.wait(20)
        time.sleep(self._random.uniform(0, self._lease_s))
        self._server.start()


def run_under_faults(
    *,
    seed: int,
    jobs: int,
    kinds: list[str],
    folder: Path,
    lease_s: float,
    pause_s: float,
    pause_between_s: float,
    fault_count: int,
    limit_s: float,
) -> Counter[str]:
    """Runs jobs while faults are injected and checks that each ended exactly once.

    Returns how many faults of each kind were injected.
    """
    random = Random(seed)
    server = Postgres(folder)  # durable: what was committed must outlive the crash of the server
    url = server.start()
    targets: list[DispatcherProcess] = []
    try:
        upgrade(url)
        asyncio.run(fill(url, random, jobs, pause_s))
        targets = [DispatcherProcess(kind, url, lease_s) for kind in kinds]
        injector = FaultInjector(random, server, targets, lease_s)
        until_s = time.monotonic() + limit_s
        left = jobs
        while left and time.monotonic() < until_s:
            if left > jobs // 10 and injector.faults.total() < fault_count:
                injector.inject()
            else:
                injector.resume_all()  # the remaining jobs show that nothing is stuck
            time.sleep(pause_between_s * random.uniform(0.5, 1.5))
            left = asyncio.run(count_left(url, left))
        injector.resume_all()
        asyncio.run(check(url, jobs))
        return injector.faults
    finally:
        for target in targets:
            target.end()
        server.stop()


async def fill(url: str, random: Random, jobs: int, pause_s: float) -> None:
    """Fills the queue in one transaction; makes the table of effects, which permits duplicates."""
    database = Database(url, pool_size=1)
    async with database.transaction() as session:
        for _ in range(jobs):
            payload = {"steps": random.randrange(1, 4), "pause_s": random.uniform(0, 2) * pause_s}
            await enqueue(session, STEPS, payload, owner_id=None, priority=random.randrange(3))
    await database.aclose()
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE job_effect (job_id uuid NOT NULL)")
    await connection.close()


async def count_left(url: str, before: int) -> int:
    """Counts the jobs that have not ended; returns `before` while the database is unreachable."""
    try:
        connection = await asyncpg.connect(url, timeout=3)
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return before
    try:
        query = "SELECT count(*) FROM job WHERE state IN ('queued', 'running')"
        return int(await connection.fetchval(query))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return before
    finally:
        connection.terminate()


async def check(url: str, jobs: int) -> None:
    """Checks that every job succeeded once, with one effect, one result and one last event."""
    connection = await asyncpg.connect(url)
    try:
        states = Counter(row["state"] for row in await connection.fetch("SELECT state FROM job"))
        assert states == Counter({"succeeded": jobs}), states
        effects = await connection.fetch(
            "SELECT count(*) AS times FROM job LEFT JOIN job_effect ON job_id = id GROUP BY id"
        )
        assert await connection.fetchval("SELECT count(*) FROM job_effect") == jobs
        assert Counter(row["times"] for row in effects) == Counter({1: jobs})
        odd = await connection.fetch(
            "SELECT * FROM job WHERE result IS NULL OR lease_until IS NOT NULL"
            " OR (result ->> 'steps')::int <> progress_done"
        )
        assert not odd, odd
        ends = await connection.fetch(
            "SELECT job_id, count(*) FILTER (WHERE state = 'succeeded') AS ends,"
            " max(id) FILTER (WHERE state = 'succeeded') = max(id) AS is_last"
            " FROM job_event GROUP BY job_id"
        )
        assert len(ends) == jobs
        assert all(row["ends"] == 1 and row["is_last"] for row in ends)
    finally:
        await connection.close()
