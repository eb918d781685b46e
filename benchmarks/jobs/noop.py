"""A job that does nothing, and a studio that has only a database."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from db.engine import Database
from jobs.handler import Handler
from jobs.retry import RetryPolicy
from settings import Settings
from studio.job_types import JobRun, JobType, Outcome
from studio.ports import Studio

NOOP = JobType("noop", role="customer")
POLICY = RetryPolicy()


async def noop(_: Studio, __: JobRun) -> Outcome:
    """Does nothing."""
    return Outcome()


HANDLERS = {"noop": Handler(NOOP, noop, num_cpus=1.0)}


def bare_studio() -> Studio:
    """A studio for handlers that need the database only."""
    url = os.environ["BENCH_DATABASE_URL"]
    return Studio(Settings(database_url=url), Database(url))


@asynccontextmanager
async def open_bare_studio() -> AsyncIterator[Studio]:
    """What a Ray task opens."""
    studio = bare_studio()
    try:
        yield studio
    finally:
        await studio.aclose()
