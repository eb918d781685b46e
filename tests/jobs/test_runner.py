"""On a small Ray cluster a worker is killed, and another worker runs its job."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

import psutil
from sqlalchemy import text

from db.engine import AsyncSession, Database
from db.jobs import get_job
from db.tables import Job
from studio.job_types import enqueue
from tests.jobs.faults import STEPS, DispatcherProcess

LEASE_S = 2.0
Answer = TypeVar("Answer")


def ask(url: str, question: Callable[[AsyncSession], Awaitable[Answer]]) -> Answer:
    """Runs a query in a transaction on a connection of its own."""

    async def run() -> Answer:
        database = Database(url, pool_size=1)
        try:
            async with database.transaction() as session:
                return await question(session)
        finally:
            await database.aclose()

    return asyncio.run(run())


def wait_for(url: str, job_id: UUID, is_right: Callable[[Job], bool], limit_s: float = 90) -> Job:
    until_s = time.monotonic() + limit_s
    while True:
        job = ask(url, lambda session: get_job(session, job_id))
        assert job is not None
        if is_right(job):
            return job
        assert time.monotonic() < until_s, job
        time.sleep(0.2)


def holders(dispatcher: DispatcherProcess, job: Job) -> list[psutil.Process]:
    """The worker that holds the lease; none for a moment after a slow machine has lost it."""
    return [
        worker for worker in dispatcher.workers() if str(job.leased_by).endswith(f":{worker.pid}")
    ]


async def put_long_job(session: AsyncSession) -> UUID:
    await session.exec(  # type: ignore[call-overload]
        text("CREATE TABLE job_effect (job_id uuid NOT NULL)")
    )
    job = await enqueue(session, STEPS, {"steps": 20, "pause_s": 0.25}, owner_id=None)
    return job.id


async def count_effects(session: AsyncSession) -> int:
    result = await session.exec(  # type: ignore[call-overload]
        text("SELECT count(*) FROM job_effect")
    )
    return int(result.scalar_one())


# Slow: Ray starts, and the lease of the killed worker has to end.
def test_a_killed_ray_worker_loses_its_job_to_another_one(database_url: str) -> None:
    job_id = ask(database_url, put_long_job)
    dispatcher = DispatcherProcess("ray", database_url, LEASE_S)
    try:
        begun = wait_for(
            database_url,
            job_id,
            lambda job: job.progress_done >= 2 and bool(holders(dispatcher, job)),
        )
        (worker,) = holders(dispatcher, begun)
        assert "run_job" in " ".join(worker.cmdline())
        worker.kill()
        job = wait_for(database_url, job_id, lambda job: job.finished_at is not None)
        assert (job.state, job.crashes) == ("succeeded", begun.crashes + 1)
        assert job.fence > begun.fence
        assert ask(database_url, count_effects) == 1
    finally:
        dispatcher.end()
