"""Endings of jobs that share a transaction."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from db.engine import AsyncSession, Database
from jobs.claim import ClaimRequest, claim
from jobs.finishing import Ending, EndingWriter
from studio.ports import Studio
from tests.jobs.working import job_of, put_job


class SlowDatabase:
    """Commits when it is told to."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.is_written, self.go_on = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        async with self._database.transaction() as session:
            yield session
            self.is_written.set()
            await self.go_on.wait()


async def test_a_caller_that_is_cancelled_during_the_commit_stops_no_other(studio: Studio) -> None:
    ids = [await put_job(studio) for _ in range(2)]
    first, second = await claim(
        studio.database, ClaimRequest(["note"], 2), owner="a", lease_s=10.0,
        deadlines={"note": 60.0},
    )  # fmt: skip
    database = SlowDatabase(studio.database)
    writer = EndingWriter(cast(Database, database))
    cancelled = asyncio.create_task(writer.write(first, Ending("succeeded", {})))
    await database.is_written.wait()
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    database.go_on.set()
    async with asyncio.timeout(5):
        await writer.write(second, Ending("succeeded", {}))
    assert [(await job_of(studio, job_id)).state for job_id in ids] == ["succeeded"] * 2
