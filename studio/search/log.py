"""Writes search log rows in batches after the answers; an orderly stop loses none."""

import asyncio
import hmac
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db.engine import Database
from db.search_log import insert_searches
from errors import DeadlinePassed, Unavailable
from studio.context import current_caller

CONTEXT = b"search client:"
BATCH = 500
BACKLOG = 20_000
RETRY_S = 1.0
REFUSALS = 3
CLOSE_LIMIT_S = 10.0

log = structlog.get_logger("studio.search_log")


def network_code(secret: str) -> str | None:
    """A keyed hash of the caller's network, to count how many of them search for the same."""
    caller = current_caller()
    if caller is None:
        return None
    return hmac.digest(secret.encode(), CONTEXT + caller.network.encode(), "sha256")[:8].hex()


class SearchLogWriter:
    """A queue and one task; a search only appends to the queue."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rows: asyncio.Queue[dict[str, Any]] = asyncio.Queue(BACKLOG)
        self._task: asyncio.Task[None] | None = None

    @property
    def is_alive(self) -> bool:
        """Whether the writing task runs, or has not been needed yet."""
        return self._task is None or not self._task.done()

    def write(self, row: dict[str, Any]) -> None:
        """Queues a row (keys: columns of `search_log`); never waits."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="search-log")
        try:
            self._rows.put_nowait(row)
        except asyncio.QueueFull:
            # The database has been away for long: losing rows is better than refusing searches.
            log.error("search_log.dropped", request_id=row["request_id"])

    async def aclose(self) -> None:
        """Writes the remaining rows; gives up after a time limit where the database is away."""
        if self._task is None:
            return
        try:
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await self._rows.join()
        except TimeoutError:
            log.error("search_log.lost", rows=self._rows.qsize())
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            rows = [await self._rows.get(), *self._drain()]
            await self._insert_until_done(rows)
            for _ in rows:
                self._rows.task_done()

    def _drain(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        while len(rows) < BATCH and not self._rows.empty():
            rows.append(self._rows.get_nowait())
        return rows

    async def _insert_until_done(self, rows: list[dict[str, Any]]) -> None:
        """Waits for a database that is away; gives up rows that it refuses."""
        refusals = 0
        while refusals < REFUSALS:
            try:
                return await self._insert(rows)
            except (Unavailable, DeadlinePassed) as error:
                log.warning("search_log.waits", rows=len(rows), reason=error.detail)
            except SQLAlchemyError:
                refusals += 1
                log.exception("search_log.refused", rows=len(rows))
            await asyncio.sleep(RETRY_S)
        log.error("search_log.lost", rows=len(rows))
        return None

    async def _insert(self, rows: list[dict[str, Any]]) -> None:
        async with self._database.transaction() as session:
            await insert_searches(session, rows)
