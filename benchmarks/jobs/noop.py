"""A job that does nothing, and a studio of which only the database is there."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from db.engine import Database
from jobs.handler import Handler
from jobs.retry import RetryPolicy
from settings import Settings
from studio.job_types import JobRun, JobType, Outcome
from studio.ports import Studio

NOOP = JobType("noop", role="customer")
POLICY = RetryPolicy()


async def noop(_: Studio, __: JobRun) -> Outcome:
    """Nothing."""
    return Outcome()


HANDLERS = {"noop": Handler(noop, num_cpus=1.0)}


def bare_studio() -> Studio:
    """For handlers that ask for nothing else."""
    url = os.environ["BENCH_DATABASE_URL"]
    nothing = cast(Any, None)
    return Studio(
        settings=Settings(database_url=url), database=Database(url), blobs=nothing, cache=nothing,
        fetcher=nothing, embedder=nothing, index=nothing, regressor=nothing, dispatcher=nothing,
        segmenter=nothing, tryon=nothing,
    )  # fmt: skip


@asynccontextmanager
async def open_bare_studio() -> AsyncIterator[Studio]:
    """What a Ray task opens."""
    studio = bare_studio()
    try:
        yield studio
    finally:
        await studio.database.aclose()
