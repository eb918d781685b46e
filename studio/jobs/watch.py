"""Event streams of jobs: one query for all streams, fanned out in memory."""

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

POLL_S = 0.5
BATCH = 10
"""Events that one stream holds for its reader; more are read when these are consumed."""
STREAMS_PER_ACCOUNT = 5
STREAMS = 500

log = structlog.get_logger("studio.jobs")


class TooManyStreams(RateLimited):
    """The account has as many open streams as it may have."""

    retry_after_s = 5


class WatchIsFull(Unavailable):
    """This process has as many open streams as it may have; another process may have fewer."""

    retry_after_s = 5


class StreamOver(Exception):
    """The stream has no more events: the job has ended, or the process is ending."""


@dataclass(eq=False)
class EventStream:
    """The events of one job for one reader."""

    account_id: UUID
    job_id: UUID
    after: int
    """The id of the last event that was added to `events`."""
    events: deque[JobEvent] = field(default_factory=deque)
    end: Exception | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def next(self, timeout_s: float) -> JobEvent | None:
        """Waits for the next event; returns None after `timeout_s` without one.

        Raises:
            StreamOver: there are no more events.
            StudioError: the database can't be read.
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
        """Adds the events of one query; the job's state is of the same moment."""
        events = [item.event for item in news if item.event is not None]
        self.events.extend(events)
        self.after = events[-1].id or 0 if events else self.after
        if news[0].job_state is None or (news[0].job_state in FINAL and len(events) < BATCH):
            self.end = StreamOver()
        if events or self.end is not None:
            self.news.set()

    def stop(self, why: Exception) -> None:
        """Ends the stream after the events that it still holds."""
        self.end = self.end or why
        self.news.set()


class JobWatch:
    """All streams of a process. `run` polls for those whose readers have consumed their events."""

    def __init__(
        self, database: Database, *, until: asyncio.Event, per_account: int = STREAMS_PER_ACCOUNT,
        max_streams: int = STREAMS,
    ) -> None:  # fmt: skip
        """`until` is set when the process is to end."""
        self._database = database
        self._until = until
        self._per_account = per_account
        self._max_streams = max_streams
        self._streams: set[EventStream] = set()
        self._accounts: Counter[UUID] = Counter()
        self._wake = asyncio.Event()
        self._polling = asyncio.Lock()
        self.queries = 0

    def open(self, account_id: UUID, job_id: UUID, after: int) -> EventStream:
        """Opens a stream of the events after `after`; the caller has to `close` it.

        Raises:
            TooManyStreams: the account has too many streams.
            WatchIsFull: all accounts together have too many.
        """
        if self._accounts[account_id] >= self._per_account:
            raise TooManyStreams(
                f"this account has {self._per_account} event streams open, the most that it may "
                f"have: close one, and try again in {TooManyStreams.retry_after_s} s"
            )
        if len(self._streams) >= self._max_streams:
            raise WatchIsFull(f"all {self._max_streams} places for event streams are taken")
        stream = EventStream(account_id, job_id, after)
        self._streams.add(stream)
        self._accounts[account_id] += 1
        self._wake.set()
        return stream

    def close(self, stream: EventStream) -> None:
        """Closes the stream; a second call has no effect."""
        if stream in self._streams:
            self._streams.remove(stream)
            self._accounts[stream.account_id] -= 1
            if not self._accounts[stream.account_id]:
                del self._accounts[stream.account_id]

    async def run(self) -> None:
        """Polls twice a second, and at once for a new stream; never returns."""
        try:
            while True:
                limit_s = POLL_S if self._streams else None
                with suppress(TimeoutError):
                    async with asyncio.timeout(limit_s):
                        await self._wake.wait()
                self._wake.clear()
                await self._poll_safely()
        finally:
            self._stop_all(Unavailable("the connection to the job was lost"))

    async def aclose(self) -> None:
        """Ends every stream, and waits for the query that is running."""
        self._stop_all(StreamOver())
        async with self._polling:
            pass

    async def _poll_safely(self) -> None:
        if self._until.is_set():
            self._stop_all(StreamOver())
            return
        try:
            async with self._polling:
                await self._poll()
        except StudioError as error:
            self._stop_all(error)
        except SQLAlchemyError as error:
            log.warning("jobs.unwatched", error=repr(error))
            self._stop_all(Unavailable("the database can't be read"))

    async def _poll(self) -> None:
        """Reads new events of all streams whose readers wait for one."""
        ready = [stream for stream in self._streams if not stream.events and stream.end is None]
        if not ready:
            return
        self.queries += 1
        watched = sorted({(stream.job_id, stream.after) for stream in ready})
        async with self._database.read() as session:
            news = await list_news(session, watched, limit=BATCH)
        for stream in ready:
            items = news[stream.job_id, stream.after]
            stream.put(items)
            if len(items) == BATCH:
                self._wake.set()

    def _stop_all(self, why: Exception) -> None:
        for stream in self._streams:
            stream.stop(why)
