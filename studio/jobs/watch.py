"""Changes of jobs for many readers: one query for all of them, fanned out in memory."""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db.engine import Database
from db.jobs import JobNews, list_news
from db.tables import JobEvent
from errors import RateLimited, StudioError, Unavailable
from studio.jobs.jobs import FINAL

LOOK_S = 0.5
BATCH = 10
"""Events of one stream that wait for its reader; more are read when these are taken."""
STREAMS_PER_ACCOUNT = 5
STREAMS = 500

log = structlog.get_logger("studio.jobs")


class TooManyStreams(RateLimited):
    """The account watches as many jobs as it may."""

    retry_after_s = 5


class WatchIsFull(Unavailable):
    """This process has as many streams as it takes; another one may have room."""

    retry_after_s = 5


class StreamOver(Exception):
    """The job has ended and every event was taken, or the process ends."""


@dataclass(eq=False)
class EventStream:
    """One reader of one job's events."""

    account_id: UUID
    job_id: UUID
    after: int
    """The last event that was put into `events`."""
    events: deque[JobEvent] = field(default_factory=deque)
    end: Exception | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def next(self, timeout_s: float) -> JobEvent | None:
        """The next event, or None where there was none for so long.

        Raises:
            StreamOver: there will be no more.
            StudioError: the database is away.
        """
        if not self.events and self.end is None:
            self.news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self.news.wait()
        if self.events:
            return self.events.popleft()
        if self.end is not None:
            raise self.end
        return None

    def put(self, news: Sequence[JobNews]) -> None:
        """What a look has found after `after`; the job's state is of the same moment."""
        events = [one.event for one in news if one.event is not None]
        self.events.extend(events)
        self.after = events[-1].id or 0 if events else self.after
        if news[0].job_state is None or (news[0].job_state in FINAL and len(events) < BATCH):
            self.end = StreamOver()
        if events or self.end is not None:
            self.news.set()

    def stop(self, why: Exception) -> None:
        """No more events, but those that wait are still given."""
        self.end = self.end or why
        self.news.set()


class JobWatch:
    """All streams of a process. `run` looks while there are any; a slow reader's are left out."""

    def __init__(
        self, database: Database, *, until: asyncio.Event, per_account: int = STREAMS_PER_ACCOUNT,
        in_all: int = STREAMS,
    ) -> None:  # fmt: skip
        """`until`: set when the process is to end."""
        self._database = database
        self._until = until
        self._per_account = per_account
        self._in_all = in_all
        self._streams: set[EventStream] = set()
        self._accounts: Counter[UUID] = Counter()
        self._wake = asyncio.Event()
        self._looking = asyncio.Lock()
        self.looks = 0

    def open(self, account_id: UUID, job_id: UUID, after: int) -> EventStream:
        """A stream of the events after `after`; `close` gives its place back.

        Raises:
            TooManyStreams: of this account. WatchIsFull: of all accounts.
        """
        if self._accounts[account_id] >= self._per_account:
            raise TooManyStreams(
                f"this account has {self._per_account} event streams open, the most that it may "
                f"have: close one, and try again in {TooManyStreams.retry_after_s} s"
            )
        if len(self._streams) >= self._in_all:
            raise WatchIsFull(f"all {self._in_all} places for event streams are taken")
        stream = EventStream(account_id, job_id, after)
        self._streams.add(stream)
        self._accounts[account_id] += 1
        self._wake.set()
        return stream

    def close(self, stream: EventStream) -> None:
        """Gives the stream's place back; a second call changes nothing."""
        if stream in self._streams:
            self._streams.remove(stream)
            self._accounts[stream.account_id] -= 1
            if not self._accounts[stream.account_id]:
                del self._accounts[stream.account_id]

    async def run(self) -> None:
        """Looks at once for new streams, and twice a second for all; never returns."""
        try:
            while True:
                limit_s = LOOK_S if self._streams else None
                with suppress(TimeoutError):  # `wait_for` of Python 3.11 may lose a cancellation
                    async with asyncio.timeout(limit_s):
                        await self._wake.wait()
                self._wake.clear()
                await self._look_safely()
        finally:
            self._stop_all(Unavailable("the connection to the job was lost"))

    async def aclose(self) -> None:
        """Ends every stream; the query that is under way ends first."""
        self._stop_all(StreamOver())
        async with self._looking:
            pass

    async def _look_safely(self) -> None:
        if self._until.is_set():
            self._stop_all(StreamOver())
            return
        try:
            async with self._looking:
                await self._look()
        except StudioError as error:
            self._stop_all(error)
        except SQLAlchemyError as error:
            log.warning("jobs.unwatched", error=repr(error))
            self._stop_all(Unavailable("the database can't be read"))

    async def _look(self) -> None:
        """One query for whoever has taken what the last one found."""
        ready = [one for one in self._streams if not one.events and one.end is None]
        if not ready:
            return
        self.looks += 1
        watched = sorted({(one.job_id, one.after) for one in ready})
        async with self._database.read() as session:
            news = await list_news(session, watched, limit=BATCH)
        for stream in ready:
            found = news[stream.job_id, stream.after]
            stream.put(found)
            if len(found) == BATCH:
                self._wake.set()

    def _stop_all(self, why: Exception) -> None:
        for stream in self._streams:
            stream.stop(why)
