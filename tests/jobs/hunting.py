"""The fault hunt: a queue of jobs, dispatchers to kill, and what must be true at the end."""

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
from tests.jobs import hunted

HUNT = JobType("hunt", role="customer", max_attempts=10_000)
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.jobs.hunted"])
POSTGRES_WORK = ("checkpointer", "background writer", "walwriter", "logger")


class Prey:
    """One dispatcher process with its workers; started again when it was killed."""

    def __init__(self, kind: str, url: str, lease_s: float) -> None:
        self._kind = kind
        self._environment = {
            "HUNT_DATABASE_URL": url, "HUNT_LEASE_S": str(lease_s), "RAY_AUTH_MODE": "disabled",
            "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(PROJECT_ROOT),
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        }  # fmt: skip
        self.process = self._start()

    def _start(self) -> BaseProcess:
        process = CONTEXT.Process(target=hunted.main, args=(self._kind, self._environment))
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
        return [one for one in self.family() if self._is_worker(one)]

    def raylets(self) -> list[psutil.Process]:
        return [one for one in self.family() if name_of(one) == "raylet"]

    def _is_worker(self, one: psutil.Process) -> bool:
        with suppress(psutil.Error):
            if self._kind == "ray":
                return title_of(one).startswith("ray::")
            return bool(one.status() != psutil.STATUS_ZOMBIE and one.num_threads() > 1)
        return False

    def end(self) -> None:
        for one in self.family():
            with suppress(psutil.Error):
                one.kill()
        self.process.kill()
        self.process.join()


def name_of(one: psutil.Process) -> str:
    with suppress(psutil.Error):
        return str(one.name())
    return ""


def title_of(one: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(one.cmdline())
    return ""


class Hunter:
    """Kills and stops at random, until told that all is done."""

    def __init__(self, random: Random, server: Postgres, prey: list[Prey], lease_s: float) -> None:
        self._random = random
        self._server = server
        self._prey = prey
        self._lease_s = lease_s
        self._stopped: list[tuple[float, psutil.Process]] = []
        self.deeds: Counter[str] = Counter()

    def strike(self) -> None:
        """One deed; what was stopped long enough goes on."""
        self._wake()
        self._keep_alive()
        deeds: list[tuple[float, str, Callable[[], None]]] = [
            (6, "worker killed", lambda: self._kill(self._workers())),
            (4, "worker stopped past its lease", lambda: self._stop(self._workers())),
            (2, "dispatcher killed", lambda: self._kill(self._dispatchers())),
            (2, "dispatcher stopped past its lease", lambda: self._stop(self._dispatchers())),
            (1, "raylet killed", lambda: self._kill(self._raylets())),
            (1, "database backend killed", self._kill_backend),
            (0.5, "database crashed and started again", self._crash_database),
        ]
        _, name, deed = self._random.choices(deeds, [weight for weight, _, _ in deeds])[0]
        before = self.deeds.total()
        deed()
        if self.deeds.total() == before:
            self.deeds[name] += 1

    def rest(self) -> None:
        """Everything that was stopped goes on."""
        self._wake(everything=True)
        self._keep_alive()

    def _keep_alive(self) -> None:
        """As a supervisor does; a server whose recovery was killed has given up, too."""
        if self._server.process.exit_code is not None:
            self._server.start()
        for one in self._prey:
            one.keep_alive()

    def _wake(self, *, everything: bool = False) -> None:
        now_s = time.monotonic()
        for entry in list(self._stopped):
            if everything or entry[0] <= now_s:
                self._stopped.remove(entry)
                with suppress(psutil.Error):
                    entry[1].resume()

    def _kill(self, candidates: list[psutil.Process]) -> None:
        if not candidates:
            self.deeds["nothing to kill"] += 1
            return
        with suppress(psutil.Error):
            self._random.choice(candidates).kill()

    def _stop(self, candidates: list[psutil.Process]) -> None:
        if not candidates:
            self.deeds["nothing to stop"] += 1
            return
        one = self._random.choice(candidates)
        with suppress(psutil.Error):
            one.suspend()
            until_s = time.monotonic() + self._lease_s * self._random.uniform(1.2, 3.0)
            self._stopped.append((until_s, one))

    def _workers(self) -> list[psutil.Process]:
        return [worker for one in self._prey for worker in one.workers()]

    def _dispatchers(self) -> list[psutil.Process]:
        found = []
        for one in self._prey:
            with suppress(psutil.Error):
                found.append(psutil.Process(one.pid))
        return found

    def _raylets(self) -> list[psutil.Process]:
        return [raylet for one in self._prey for raylet in one.raylets()]

    def _kill_backend(self) -> None:
        """PostgreSQL answers that by ending every session and recovering."""
        backends = []
        with suppress(psutil.Error):
            for one in psutil.Process(self._server.process.pid).children():
                if not any(words in title_of(one) for words in POSTGRES_WORK):
                    backends.append(one)
        self._kill(backends)

    def _crash_database(self) -> None:
        os.kill(self._server.process.pid, signal.SIGQUIT)  # at once, without a checkpoint
        self._server.process.wait(20)
        time.sleep(self._random.uniform(0, self._lease_s))
        self._server.start()


def hunt_jobs(
    *,
    seed: int,
    jobs: int,
    kinds: list[str],
    folder: Path,
    lease_s: float,
    pause_s: float,
    strike_s: float,
    strikes: int,
    limit_s: float,
) -> Counter[str]:
    """Runs the hunt and checks that every job has ended exactly once; what was done to them."""
    random = Random(seed)
    server = Postgres(folder)  # durable: what was committed must outlive the crash of the server
    url = server.start()
    prey: list[Prey] = []
    try:
        upgrade(url)
        asyncio.run(fill(url, random, jobs, pause_s))
        prey = [Prey(kind, url, lease_s) for kind in kinds]
        hunter = Hunter(random, server, prey, lease_s)
        until_s = time.monotonic() + limit_s
        left = jobs
        while left and time.monotonic() < until_s:
            if left > jobs // 10 and hunter.deeds.total() < strikes:
                hunter.strike()
            else:
                hunter.rest()  # what is left shows that nothing is stuck
            time.sleep(strike_s * random.uniform(0.5, 1.5))
            left = asyncio.run(count_left(url, left))
        hunter.rest()
        asyncio.run(check(url, jobs))
        return hunter.deeds
    finally:
        for one in prey:
            one.end()
        server.stop()


async def fill(url: str, random: Random, jobs: int, pause_s: float) -> None:
    """The queue, in one transaction, and the table of effects, which takes every double."""
    database = Database(url, pool_size=1)
    async with database.transaction() as session:
        for _ in range(jobs):
            payload = {"steps": random.randrange(1, 4), "pause_s": random.uniform(0, 2) * pause_s}
            await enqueue(session, HUNT, payload, owner_id=None, priority=random.randrange(3))
    await database.aclose()
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE hunt_effect (job_id uuid NOT NULL)")
    await connection.close()


async def count_left(url: str, before: int) -> int:
    """Jobs that have not ended; as before while the database is away."""
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
    """Every job succeeded once, with one effect, one result and one last event."""
    connection = await asyncpg.connect(url)
    try:
        states = Counter(row["state"] for row in await connection.fetch("SELECT state FROM job"))
        assert states == Counter({"succeeded": jobs}), states
        effects = await connection.fetch(
            "SELECT count(*) AS times FROM job LEFT JOIN hunt_effect ON job_id = id GROUP BY id"
        )
        assert await connection.fetchval("SELECT count(*) FROM hunt_effect") == jobs
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
