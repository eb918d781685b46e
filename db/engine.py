"""The connection pool and transactions; the caller of a query owns the transaction."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any

import asyncpg
import structlog
from sqlalchemy import event, text
from sqlalchemy.exc import (
    DBAPIError,
    DisconnectionError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from db.connect import DatabaseUrl, connect
from errors import DeadlinePassed, NotAuthenticated, Unavailable

STATEMENT_LIMIT_S = 30.0
LOCK_LIMIT_S = 10.0
IDLE_LIMIT_S = 600.0
"""The server ends a transaction that is idle for this time, which releases its locks."""

READ_ONLY = "25006"
TOO_SLOW = "57014"
LOCKED = ("55P03", "40P01")
"""A lock was not free in time, or there was a deadlock."""
NO_SUCH_ROW = "23503"
REFUSED = "28"
"""Errors of authentication, as between the change of a password and that of its file."""

log = structlog.get_logger("studio.database")


def make_engine(
    url: DatabaseUrl, *, connect_options: dict[str, Any] | None = None, **options: Any
) -> Any:
    """SQLAlchemy's engine over `db.connect`, so that every client reads the URL in the same way."""

    async def open_connection() -> Any:
        return await connect(url, **(connect_options or {}))

    return create_async_engine("postgresql+asyncpg://", async_creator=open_connection, **options)


def state_of(error: object) -> str:
    """The SQLSTATE of a server error; empty where it has none."""
    return str(getattr(error, "sqlstate", "") or "")


def is_without_account(error: BaseException) -> bool:
    """Whether a row was rejected because the account that it refers to is deleted."""
    detail = str(getattr(error.__cause__, "detail", ""))
    return state_of(error) == NO_SUCH_ROW and detail.endswith('is not present in table "users".')


def is_going_away(error: object) -> bool:
    """Whether the server is stopping, starting or out of resources (SQLSTATE 08, 57P, 53)."""
    return state_of(error).startswith(("08", "57P", "53"))


def read_document(document: str) -> Any:
    """Parses a JSON column; returns an empty object where it is nested too deeply for Python.

    Otherwise one such row would fail every query that returns it.
    """
    try:
        return json.loads(document)
    except RecursionError:
        log.error("a stored document is nested too deeply to be read", chars=len(document))
        return {}


class Database:
    """A pool of asyncpg connections; make it in the event loop that uses it.

    The pool has no overflow, whose connections would be opened and closed for every use. Statements
    and waits for locks have time limits; a server that stops answering without closing its
    connection is given up shortly after the limit of a statement.
    """

    def __init__(
        self,
        url: DatabaseUrl,
        *,
        pool_size: int = 5,
        statement_limit_s: float = STATEMENT_LIMIT_S,
        committing: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """No connection is opened yet. `committing` is entered around every commit."""
        self._committing = committing
        limits = {
            "statement_timeout": statement_limit_s,
            "lock_timeout": LOCK_LIMIT_S,
            "idle_in_transaction_session_timeout": IDLE_LIMIT_S,
        }
        limits_ms = {name: f"{limit_s * 1000:.0f}" for name, limit_s in limits.items()}
        self._engine = make_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=5,
            json_deserializer=read_document,
            hide_parameters=True,  # an error's text may reach a log, values of rows may not
            connect_options={
                "timeout": 5,
                "command_timeout": statement_limit_s + 5,
                "server_settings": {"application_name": "studio"} | limits_ms,
            },
        )
        event.listen(self._engine.sync_engine, "checkout", _refuse_closed)
        if callable(url):
            follow_url(self._engine.sync_engine, url)
        event.listen(self._engine.sync_engine, "handle_error", _leave_read_only)
        self._reader = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A session in one transaction, which is committed at the end and rolled back on any error.

        A task that is cancelled during the commit is cancelled after it.

        Raises:
            Unavailable: PostgreSQL can't be reached.
            NotAuthenticated: the account of an inserted row was deleted meanwhile.
        """
        async with (
            _translating(),
            AsyncSession(self._engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session
            with self._committing():
                await _to_its_end(session.commit())

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A session for reads that need no common snapshot: a query takes one round trip.

        Raises:
            Unavailable: PostgreSQL can't be reached.
        """
        async with _translating(), AsyncSession(self._reader, expire_on_commit=False) as session:
            yield session

    async def check(self) -> bool:
        """Whether PostgreSQL answers and accepts writes.

        Raises:
            Unavailable: PostgreSQL does not answer.
        """
        query = text("SELECT current_setting('transaction_read_only')")
        try:
            async with self.read() as session:
                result = await session.exec(query)  # type: ignore[call-overload]
                return bool(result.scalar_one() == "off")
        except SQLAlchemyError as error:
            raise Unavailable("the database does not answer") from error

    async def aclose(self) -> None:
        """Closes every pooled connection."""
        await self._engine.dispose()


async def _to_its_end(commit: Coroutine[Any, Any, None]) -> None:
    """Awaits a commit; a cancelled caller waits for its end too, so that it isn't interrupted."""
    task = asyncio.ensure_future(commit)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # retrieved, so that asyncio does not log it
        raise


@asynccontextmanager
async def _translating() -> AsyncIterator[None]:
    try:
        yield
    except (OSError, TimeoutError, PoolTimeout, OperationalError, InterfaceError) as error:
        raise Unavailable("the database can't be reached") from error
    except DBAPIError as error:
        state = state_of(error.orig)
        if state == READ_ONLY:
            raise Unavailable("the database takes no changes right now") from error
        if state == TOO_SLOW:
            raise DeadlinePassed("the database took too long") from error
        if state in LOCKED:
            raise Unavailable("other transactions are changing the same rows") from error
        if error.orig is not None and is_without_account(error.orig):
            raise NotAuthenticated("the account was deleted") from error
        if state.startswith(REFUSED):
            raise Unavailable("the database can't be reached") from error
        if error.connection_invalidated or is_going_away(error.orig):
            raise Unavailable("the database connection was lost") from error
        raise
    except asyncpg.PostgresError as error:  # SQLAlchemy wraps most of them
        if is_going_away(error) or state_of(error).startswith(REFUSED):
            raise Unavailable("the database can't be reached") from error
        raise


def follow_url(engine: Any, url: Callable[[], str]) -> None:
    """Makes the pool replace connections that were opened with another URL than the present one."""

    def note_url(_connection: Any, record: Any) -> None:
        record.info["url"] = url()

    def refuse_other(_connection: Any, record: Any, _proxy: object) -> None:
        if record.info.get("url") != url():
            raise DisconnectionError

    event.listen(engine, "connect", note_url)
    event.listen(engine, "checkout", refuse_other)


def _leave_read_only(context: Any) -> None:
    """Drops the connection to a server that is read-only, as the old one is after a failover."""
    if state_of(context.original_exception) == READ_ONLY:
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = False  # other connections fail at their next write


def _refuse_closed(connection: Any, _record: object, _proxy: object) -> None:
    """Makes the pool replace a closed connection; asyncpg knows this without a round trip."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


__all__ = ["AsyncSession", "Database", "make_engine"]
