"""Writes the outcomes of attempts, guarded by their fences, several in one transaction."""

import asyncio
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from db.engine import Database
from db.job_claims import finish_jobs, requeue_jobs
from errors import StudioError, Superseded, Unavailable
from jobs.claim import Claim
from studio.job_types import Record

PAUSES_S = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Pauses between the tries to write an ending while the database is unreachable."""


@dataclass(frozen=True)
class Ending:
    """The outcome of an attempt; with the state `queued` the job runs again after `delay_s`."""

    state: str
    result: dict[str, Any] | None = None
    error: str | None = None
    delay_s: float = 0.0
    record: Record | None = None


@dataclass(frozen=True)
class PendingEnding:
    """An ending that waits for the next transaction, and the future that its caller awaits."""

    row: dict[str, Any]
    is_written: asyncio.Future[bool]
    """Its result is False if another worker has the job."""


class EndingWriter:
    """Writes the endings of one event loop; endings that wait during a commit are written together.

    An ending that queues the job again or has a `record` gets a transaction of its own.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pending: list[PendingEnding] = []
        self._writing: asyncio.Task[None] | None = None

    async def write_patiently(self, claim: Claim, ending: Ending) -> None:
        """Like `write`, but tries again while the database is down, so as not to lose the work."""
        for pause_s in (*PAUSES_S, None):
            try:
                await self.write(claim, ending)
                return
            except Unavailable:
                if pause_s is None:
                    raise
                await asyncio.sleep(pause_s)

    async def write(self, claim: Claim, ending: Ending) -> None:
        """Writes the job's new state and calls `record`, in one transaction.

        Raises:
            Superseded: another worker has the job, or this ending was already written.
            Unavailable: it is not known whether the ending was written; calling again is safe.
        """
        row = claim.row | {"error": ending.error}
        if ending.state == "queued":
            row |= {"delay_s": ending.delay_s, "unspent": 0, "crashes": 0}
            async with self._database.transaction() as session:
                is_written = bool(await requeue_jobs(session, [row]))
        else:
            row |= {"state": ending.state, "result": ending.result}
            is_written = await (
                self._write_with(row, ending.record) if ending.record else self._join(row)
            )
        if not is_written:
            raise Superseded("another worker has this job")

    async def _write_with(self, row: dict[str, Any], record: Record) -> bool:
        async with self._database.transaction() as session:
            is_written = bool(await finish_jobs(session, [row]))
            if is_written:
                await record(session)
        return is_written

    async def _join(self, row: dict[str, Any]) -> bool:
        ending = PendingEnding(row, asyncio.get_running_loop().create_future())
        self._pending.append(ending)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all(), name="job-endings")
        return await ending.is_written

    async def _write_all(self) -> None:
        try:
            while self._pending:
                endings, self._pending = self._pending, []
                await self._write_together(endings)
        finally:
            self._writing = None

    async def _write_together(self, endings: list[PendingEnding]) -> None:
        """Writes the endings in one transaction; callers may be cancelled before or during it."""
        awaited = [ending for ending in endings if not ending.is_written.done()]
        try:
            async with self._database.transaction() as session:
                keys = await finish_jobs(session, [ending.row for ending in awaited])
        except (StudioError, SQLAlchemyError) as error:
            for ending in awaited:
                if not ending.is_written.done():
                    ending.is_written.set_exception(error)
        else:
            for ending in awaited:
                if not ending.is_written.done():
                    ending.is_written.set_result((ending.row["id"], ending.row["fence"]) in keys)
