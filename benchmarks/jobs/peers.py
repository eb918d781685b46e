"""One subject of `benchmarks.jobs.throughput` in a process of its own: fills a queue, works it off.

    python -m benchmarks.jobs.peers NAME JOBS AT_ONCE     (BENCH_DATABASE_URL, BENCH_REDIS_URL)

Prints the seconds from the first start (Celery: the first end) to the last end, by the queue's own
records.
"""

import asyncio
import importlib
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import structlog

from benchmarks.jobs.noop import HANDLERS, NOOP, POLICY, bare_studio, open_bare_studio
from jobs.dispatcher import Dispatcher, DispatcherArgs, Executor
from studio.job_types import enqueue

LIMIT_S = 300.0


async def wait_until(is_done: Callable[[], Awaitable[bool]]) -> None:
    """Looks now and then."""
    until_s = time.monotonic() + LIMIT_S
    while not await is_done():
        if time.monotonic() > until_s:
            raise TimeoutError("the jobs do not end")
        await asyncio.sleep(0.2)


async def work_ours(jobs: int, at_once: int, make: Callable[[Any], Executor]) -> float:
    """The studio's dispatcher until the queue is empty."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    studio = bare_studio()
    async with studio.database.transaction() as session:
        for _ in range(jobs):
            await enqueue(session, NOOP, {}, owner_id=None)
    args = DispatcherArgs(cpus=at_once, max_running=at_once)
    dispatcher = Dispatcher(studio.database, make(studio), HANDLERS, args, POLICY)
    task = asyncio.create_task(dispatcher.run())
    connection = await asyncpg.connect(os.environ["BENCH_DATABASE_URL"])

    async def is_done() -> bool:
        query = "SELECT count(*) FROM job WHERE state = 'succeeded'"
        return bool(await connection.fetchval(query) == jobs)

    await wait_until(is_done)
    dispatcher.drain()
    await task
    query = "SELECT extract(epoch FROM max(finished_at) - min(started_at))::float8 FROM job"
    return float(await connection.fetchval(query))


async def ours(jobs: int, at_once: int) -> float:
    """The queue layer alone: attempts as tasks of one process."""
    from jobs.inline import InlineExecutor

    return await work_ours(jobs, at_once, lambda studio: InlineExecutor(studio, POLICY))


async def ours_on_ray(jobs: int, at_once: int) -> float:
    """As the studio runs them: one Ray task a job."""
    import ray

    from jobs.runner import RayExecutor

    ray.init(
        num_cpus=at_once, include_dashboard=False, log_to_driver=False,
        logging_level=logging.ERROR,
    )  # fmt: skip
    return await work_ours(jobs, at_once, lambda _: RayExecutor(open_bare_studio, POLICY))


async def procrastinate(jobs: int, at_once: int) -> float:
    """Its own worker and connector, as its documentation sets them up."""
    peer = importlib.import_module("procrastinate")
    connector = peer.PsycopgConnector(conninfo=os.environ["BENCH_DATABASE_URL"])
    app = peer.App(connector=connector)

    @app.task(name="noop")  # type: ignore[untyped-decorator]
    async def noop() -> None:
        pass

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        await noop.batch_defer_async(*({} for _ in range(jobs)))
        await app.run_worker_async(concurrency=at_once, wait=False, install_signal_handlers=False)
    connection = await asyncpg.connect(os.environ["BENCH_DATABASE_URL"])
    query = (
        "SELECT extract(epoch FROM max(at) FILTER (WHERE type = 'succeeded')"
        " - min(at) FILTER (WHERE type = 'started'))::float8 FROM procrastinate_events"
    )
    assert (
        await connection.fetchval(
            "SELECT count(*) FROM procrastinate_events WHERE type = 'succeeded'"
        )
        == jobs
    )
    return float(await connection.fetchval(query))


async def celery(jobs: int, at_once: int) -> float:
    """Late acknowledgement, so that a killed worker loses nothing: the nearest to a lease."""
    app = importlib.import_module("benchmarks.jobs.celery_app").app
    results = [app.tasks["noop"].delay() for _ in range(jobs)]
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "celery", "-A", "benchmarks.jobs.celery_app", "worker",
        "-c", str(at_once), "--loglevel", "ERROR", "-P", "prefork",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:

        async def is_done() -> bool:
            return all(one.ready() for one in results[-200:]) and all(r.ready() for r in results)

        await wait_until(is_done)
        ends = [one.date_done for one in results]
        return float((max(ends) - min(ends)).total_seconds())
    finally:
        worker.terminate()
        await worker.wait()


SUBJECTS: dict[str, Callable[[int, int], Awaitable[float]]] = {
    "ours": ours,
    "ours_on_ray": ours_on_ray,
    "procrastinate": procrastinate,
    "celery": celery,
}


async def main(name: str, jobs: int, at_once: int) -> None:
    """Runs one subject."""
    print(f"seconds {await SUBJECTS[name](jobs, at_once):.4f}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
