"""The connection pool and the transaction; the caller of a query owns the transaction."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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

from db.connect import connect
from errors import DeadlinePassed, NotAuthenticated, Unavailable

STATEMENT_LIMIT_S = 30.0
LOCK_LIMIT_S = 10.0
IDLE_LIMIT_S = 600.0
"""A transaction that nobody goes on with is ended by the server, and its locks with it."""

READ_ONLY = "25006"
TOO_SLOW = "57014"
LOCKED = ("55P03", "40P01")
"""A lock was not free in time, or two transactions waited for each other's."""
NO_SUCH_ROW = "23503"

log = structlog.get_logger("studio.database")


def make_engine(url: str, *, connect_options: dict[str, Any] | None = None, **options: Any) -> Any:
    """SQLAlchemy's engine over `db.connect`: pool, listener and doctor read one URL alike."""

    async def open_connection() -> Any:
        return await connect(url, **(connect_options or {}))

    return create_async_engine("postgresql+asyncpg://", async_creator=open_connection, **options)


def state_of(error: object) -> str:
    """The SQLSTATE that the server gave; empty where it gave none."""
    return str(getattr(error, "sqlstate", "") or "")


def is_without_account(error: BaseException) -> bool:
    """Whether a row was refused because the account that it belongs to is deleted."""
    detail = str(getattr(error.__cause__, "detail", ""))
    return state_of(error) == NO_SUCH_ROW and detail.endswith('is not present in table "users".')


def is_going_away(error: object) -> bool:
    """Whether the server is stopping, starting or full: classes 08, 57P and 53 of SQLSTATE."""
    return state_of(error).startswith(("08", "57P", "53"))


def read_document(document: str) -> Any:
    """A JSON column's value; an empty object where it is nested too deeply for Python to read.

    One such row would otherwise fail every list that it is in.
    """
    try:
        return json.loads(document)
    except RecursionError:
        log.error("a stored document is nested too deeply to be read", chars=len(document))
        return {}


class Database:
    """A pool of asyncpg connections; made in the event loop that uses it.

    Connections beyond the pool's size would be opened and closed for every use: there are none.
    No statement and no wait for a lock lasts for ever; a server that has vanished without a word
    is given up a little after the statement's own limit.
    """

    def __init__(
        self, url: str, *, pool_size: int = 5, statement_limit_s: float = STATEMENT_LIMIT_S
    ) -> None:
        limits = {
            "statement_timeout": statement_limit_s,
            "lock_timeout": LOCK_LIMIT_S,
            "idle_in_transaction_session_timeout": IDLE_LIMIT_S,
        }
        told = {name: f"{limit_s * 1000:.0f}" for name, limit_s in limits.items()}
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
                "server_settings": {"application_name": "studio"} | told,
            },
        )
        event.listen(self._engine.sync_engine, "checkout", _refuse_closed)
        event.listen(self._engine.sync_engine, "handle_error", _leave_read_only)
        self._reader = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """One session in one transaction: committed at the end, rolled back on any error.

        Raises:
            Unavailable: PostgreSQL can't be reached.
            NotAuthenticated: a row's account was deleted meanwhile.

        """
        async with (
            _translating(),
            AsyncSession(self._engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A session for reading where queries need no common moment: one round trip each.

        Raises:
            Unavailable: PostgreSQL can't be reached.

        """
        async with _translating(), AsyncSession(self._reader, expire_on_commit=False) as session:
            yield session

    async def check(self) -> bool:
        """Whether changes are taken, too.

        Raises:
            Unavailable: PostgreSQL does not answer.
        """
        asked = text("SELECT current_setting('transaction_read_only')")
        try:
            async with self.read() as session:
                found = await session.exec(asked)  # type: ignore[call-overload]
                return bool(found.scalar_one() == "off")
        except SQLAlchemyError as error:
            raise Unavailable("the database does not answer") from error

    async def aclose(self) -> None:
        """Closes every pooled connection."""
        await self._engine.dispose()


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
            raise Unavailable("what is to be changed is being changed by others") from error
        if error.orig is not None and is_without_account(error.orig):
            raise NotAuthenticated("the account was deleted") from error
        if error.connection_invalidated or is_going_away(error.orig):
            raise Unavailable("the database connection was lost") from error
        raise
    except asyncpg.PostgresError as error:  # while connecting, which SQLAlchemy leaves as is
        if is_going_away(error):
            raise Unavailable("the database can't be reached") from error
        raise


def _leave_read_only(context: Any) -> None:
    """After a failover the old server may live on, read-only: its connections are given up."""
    if state_of(context.original_exception) == READ_ONLY:
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = False  # the others notice when they write


def _refuse_closed(connection: Any, _record: object, _proxy: object) -> None:
    """The pool makes another one; asyncpg knows of a closed connection without asking."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


__all__ = ["AsyncSession", "Database", "make_engine"]
