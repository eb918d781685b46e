"""Writes the ends of attempts: fenced, and those that come together in one transaction."""

import asyncio
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from db.engine import Database
from db.job_claims import finish_jobs, requeue_jobs
from errors import StudioError, Superseded
from jobs.claim import Claim
from studio.job_types import Record

PAUSES_S = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Between the tries to write an end while the database is away."""


@dataclass(frozen=True)
class Ending:
    """What became of an attempt; `queued` means again, after `delay_s`."""

    state: str
    result: dict[str, Any] | None = None
    error: str | None = None
    delay_s: float = 0.0
    record: Record | None = None


@dataclass(frozen=True)
class Entry:
    """An end that waits for its transaction, and who waits for it."""

    row: dict[str, Any]
    held: asyncio.Future[bool]


class Ledger:
    """Of one event loop; whatever waits while one transaction commits goes into the next."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[Entry] = []
        self._writing: asyncio.Task[None] | None = None

    async def write(self, claim: Claim, ending: Ending) -> None:
        """The job's new state with what `record` writes, or nothing at all.

        Raises:
            Superseded: another worker has the job, or this very end was written already.
            Unavailable: nobody knows; the same call again is safe.
        """
        row = claim.held | {"error": ending.error}
        if ending.state == "queued":
            row |= {"delay_s": ending.delay_s, "unspent": 0, "crashes": 0}
            async with self._database.transaction() as session:
                held = bool(await requeue_jobs(session, [row]))
        else:
            row |= {"state": ending.state, "result": ending.result}
            held = await (
                self._write_with(row, ending.record) if ending.record else self._join(row)
            )
        if not held:
            raise Superseded("another worker has this job")

    async def _write_with(self, row: dict[str, Any], record: Record) -> bool:
        async with self._database.transaction() as session:
            held = bool(await finish_jobs(session, [row]))
            if held:
                await record(session)
        return held

    async def _join(self, row: dict[str, Any]) -> bool:
        entry = Entry(row, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all(), name="ledger")
        return await entry.held

    async def _write_all(self) -> None:
        while self._waiting:
            entries, self._waiting = self._waiting, []
            open_entries = [entry for entry in entries if not entry.held.done()]
            try:
                async with self._database.transaction() as session:
                    keys = await finish_jobs(session, [entry.row for entry in open_entries])
            except (StudioError, SQLAlchemyError) as error:
                for entry in open_entries:
                    entry.held.set_exception(error)
            else:
                for entry in open_entries:
                    entry.held.set_result((entry.row["id"], entry.row["fence"]) in keys)
        self._writing = None
