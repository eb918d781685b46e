"""The connection pool and the transaction; the caller of a query owns the transaction."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
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

from errors import Unavailable


def async_url(url: str) -> str:
    """`postgresql://…` as people write it -> SQLAlchemy's asyncpg form."""
    for scheme in ("postgresql://", "postgres://"):
        if url.startswith(scheme):
            return "postgresql+asyncpg://" + url.removeprefix(scheme)
    return url


def is_going_away(error: object) -> bool:
    """Whether the server is stopping, starting or full: classes 08, 57P and 53 of SQLSTATE."""
    return str(getattr(error, "sqlstate", "") or "").startswith(("08", "57P", "53"))


class Database:
    """A pool of asyncpg connections; made in the event loop that uses it.

    Connections beyond the pool's size would be opened and closed for every use: there are none.
    """

    def __init__(self, url: str, *, pool_size: int = 5) -> None:
        self._engine = create_async_engine(
            async_url(url),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=5,
            connect_args={"timeout": 5, "server_settings": {"application_name": "studio"}},
        )
        event.listen(self._engine.sync_engine, "checkout", _refuse_closed)
        self._reader = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """One session in one transaction: committed at the end, rolled back on any error.

        Raises:
            Unavailable: PostgreSQL can't be reached.

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

    async def check(self) -> None:
        """Raises:
        Unavailable: PostgreSQL does not answer.
        """
        try:
            async with self.transaction() as session:
                await session.exec(text("SELECT 1"))  # type: ignore[call-overload]
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
        if error.connection_invalidated or is_going_away(error.orig):
            raise Unavailable("the database connection was lost") from error
        raise
    except asyncpg.PostgresError as error:  # while connecting, which SQLAlchemy leaves as is
        if is_going_away(error):
            raise Unavailable("the database can't be reached") from error
        raise


def _refuse_closed(connection: Any, _record: object, _proxy: object) -> None:
    """The pool makes another one; asyncpg knows of a closed connection without asking."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


__all__ = ["AsyncSession", "Database", "async_url"]
