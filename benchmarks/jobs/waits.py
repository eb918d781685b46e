"""One subject of `benchmarks.jobs.turns`: a lone job beside the due jobs of other accounts.

    python -m benchmarks.jobs.waits OWNERS JOBS_OF_EACH      (BENCH_DATABASE_URL)

Prints the cells of its row: tries, the median and the longest wait from the next free place to the
claim, and how long a claim takes.
"""

import asyncio
import logging
import os
import statistics
import sys
import time
from uuid import UUID

import asyncpg
import structlog

from benchmarks.jobs.noop import HANDLERS, NOOP, POLICY, bare_studio
from db.job_claims import claim_jobs, finish_jobs
from db.jobs import get_job
from jobs.dispatcher import Dispatcher, DispatcherArgs
from jobs.inline import InlineExecutor
from studio.job_types import enqueue
from studio.jobs.jobs import FINAL
from studio.ports import Studio

TRIES = 30
PAUSE_S = 0.05
OWNERS = """
    INSERT INTO users (id, email, password_hash, role, token_version)
    SELECT gen_random_uuid(), 'o' || i || '@example.com', 'x', 'customer', 0
    FROM generate_series(1, $1::int) AS i RETURNING id
"""
JOBS = """
    INSERT INTO job (id, type, owner_id, priority, max_attempts, state, attempts, fence,
        progress_done, progress_total, progress_message, crashes, cancel_requested)
    SELECT gen_random_uuid(), 'noop', owner_id, 0, 5, 'queued', 0, 0, 0, 0, '', 0, false
    FROM unnest($1::uuid[]) AS owner(owner_id), generate_series(1, $2::int)
"""
WAIT = """
    SELECT extract(epoch FROM started_at - (
        SELECT min(finished_at) FROM job AS other WHERE other.finished_at > job.created_at
    ))::float8 FROM job WHERE id = $1
"""


async def finish(studio: Studio, job_id: UUID) -> None:
    """Waits until a job has ended."""
    while True:
        async with studio.database.read() as session:
            job = await get_job(session, job_id)
        if job is None or job.state in FINAL:
            return
        await asyncio.sleep(0.02)


async def lone_waits(
    studio: Studio, connection: "asyncpg.Connection[asyncpg.Record]", owner: UUID
) -> list[float]:
    """Seconds from the next free place to the claim, while one place works the queue off."""
    args = DispatcherArgs(cpus=1, max_running=1)
    dispatcher = Dispatcher(
        studio.database, InlineExecutor(studio, POLICY), HANDLERS, args, POLICY,
        listen_url=os.environ["BENCH_DATABASE_URL"],
    )  # fmt: skip
    task = asyncio.create_task(dispatcher.run())
    waits = []
    for _ in range(TRIES):
        async with studio.database.transaction() as session:
            job = await enqueue(session, NOOP, {}, owner_id=owner)
        await finish(studio, job.id)
        waits.append(await connection.fetchval(WAIT, job.id))
        await asyncio.sleep(PAUSE_S)
    dispatcher.drain()
    await task
    return waits


async def claim_times(studio: Studio) -> list[float]:
    """Seconds of a claim of one job, each in a transaction of its own."""
    times = []
    for _ in range(TRIES):
        since_s = time.perf_counter()
        async with studio.database.transaction() as session:
            rows = await claim_jobs(
                session, types=["noop"], limit=1, owner="bench", lease_s=15, deadlines={"noop": 60}
            )
        times.append(time.perf_counter() - since_s)
        async with studio.database.transaction() as session:
            ends = [{"id": row["id"], "fence": row["fence"], "state": "succeeded"} for row in rows]
            await finish_jobs(session, ends)
    return times


async def main(owners: int, each: int) -> None:
    """Fills the queue, measures, prints."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    studio = bare_studio()
    connection = await asyncpg.connect(os.environ["BENCH_DATABASE_URL"])
    ids = [row["id"] for row in await connection.fetch(OWNERS, owners + 1)]
    await connection.execute(JOBS, ids[1:], each)
    times = await claim_times(studio)
    cells = "- | - | -"  # the lone job's turn comes after those of all other accounts
    if owners == 1:
        waits = await lone_waits(studio, connection, ids[0])
        left = await connection.fetchval("SELECT count(*) FROM job WHERE state = 'queued'")
        assert left > 0, "the other account's jobs ended before the measurement did"
        cells = (
            f"{len(waits)} | {1000 * statistics.median(waits):.1f} ms | {1000 * max(waits):.1f} ms"
        )
    print(f"{cells} | {1000 * statistics.median(times):.1f} ms")
    await connection.close()
    await studio.database.aclose()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
