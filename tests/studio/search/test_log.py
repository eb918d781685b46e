"""The search log waits for a database that is away, and gives up rows that it refuses."""

import asyncio
from contextlib import asynccontextmanager
from typing import Any, cast
from uuid import uuid4

import pytest
from sqlmodel import col, func, select

from db.engine import Database
from db.tables import SearchLog
from errors import Unavailable
from studio.search import log as search_log
from studio.search.log import SearchLogWriter


class Interrupted:
    """A database that is away while `away` is set."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.away = True

    @asynccontextmanager
    async def transaction(self) -> Any:
        if self.away:
            raise Unavailable("the database can't be reached")
        async with self._database.transaction() as session:
            yield session


def row(**changes: Any) -> dict[str, Any]:
    return {
        "id": uuid4(), "user_id": None, "type": "text", "params": {}, "results": [],
        "latency_ms": 1.0, "index_version": "v", "embedder_version": "e", "request_id": "r",
    } | changes  # fmt: skip


async def count(database: Database) -> int:
    async with database.transaction() as session:
        return (await session.exec(select(func.count(col(SearchLog.id))))).one()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_log, "RETRY_S", 0.01)


async def test_rows_wait_for_the_database(database_url: str) -> None:
    database = Database(database_url, pool_size=2)
    interrupted = Interrupted(database)
    writer = SearchLogWriter(cast(Database, interrupted))
    for _ in range(700):
        writer.write(row())
    await asyncio.sleep(0.1)
    interrupted.away = False
    writer.write(row())
    await writer.aclose()
    assert await count(database) == 701
    await database.aclose()


async def test_rows_that_are_refused_hold_nobody_up(database_url: str) -> None:
    database = Database(database_url, pool_size=2)
    writer = SearchLogWriter(database)
    writer.write(row(request_id="\x00"))  # which no text of PostgreSQL holds
    await asyncio.sleep(0.5)
    writer.write(row())
    await writer.aclose()
    assert await count(database) == 1
    await database.aclose()


async def test_a_stop_does_not_wait_for_ever(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_log, "CLOSE_LIMIT_S", 0.1)
    database = Database(database_url, pool_size=1)
    writer = SearchLogWriter(cast(Database, Interrupted(database)))
    writer.write(row())
    async with asyncio.timeout(5):
        await writer.aclose()
    await database.aclose()
