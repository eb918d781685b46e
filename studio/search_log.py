"""Search log rows, written behind the answers in batches; none is lost on an orderly stop."""

import asyncio
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db.engine import Database
from db.search_log import insert_searches
from errors import Unavailable

BATCH = 500
BACKLOG = 20_000
RETRY_S = 1.0

log = structlog.get_logger("studio.search_log")


class SearchLogWriter:
    """A queue and one task; a search only ever appends to the queue."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rows: asyncio.Queue[dict[str, Any]] = asyncio.Queue(BACKLOG)
        self._task: asyncio.Task[None] | None = None

    def write(self, row: dict[str, Any]) -> None:
        """Queues a row (keys: columns of `search_log`); never waits."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="search-log")
        try:
            self._rows.put_nowait(row)
        except asyncio.QueueFull:
            # The database is away for long: losing rows here beats refusing searches.
            log.error("search_log.dropped", request_id=row["request_id"])

    async def aclose(self) -> None:
        """Writes what is left."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        while rows := self._drain():
            await self._insert(rows)

    async def _run(self) -> None:
        while True:
            rows = [await self._rows.get(), *self._drain()]
            inserting = asyncio.create_task(self._insert_until_done(rows))
            try:
                await asyncio.shield(inserting)
            except asyncio.CancelledError:
                await inserting
                raise

    def _drain(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        while len(rows) < BATCH and not self._rows.empty():
            rows.append(self._rows.get_nowait())
        return rows

    async def _insert_until_done(self, rows: list[dict[str, Any]]) -> None:
        for _ in range(60):
            try:
                return await self._insert(rows)
            except (Unavailable, SQLAlchemyError):
                log.exception("search_log.retry", rows=len(rows))
                await asyncio.sleep(RETRY_S)
        log.error("search_log.lost", rows=len(rows))
        return None

    async def _insert(self, rows: list[dict[str, Any]]) -> None:
        async with self._database.transaction() as session:
            await insert_searches(session, rows)
