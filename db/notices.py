"""Hints from PostgreSQL's NOTIFY: they make polling faster, and may be lost without harm."""

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg

from db.connect import connect
from errors import Unavailable

CONNECT_S = 5


async def listen(url: str, channel: str, hear: Callable[[], None]) -> None:
    """Calls `hear` at every notice on the channel; returns when the connection is lost.

    Raises:
        Unavailable: the database can't be reached.
    """
    lost = asyncio.Event()

    def end(_: Any) -> None:
        lost.set()

    def notice(*_: Any) -> None:
        hear()

    try:
        connection = await connect(url, timeout=CONNECT_S)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise Unavailable("the database can't be reached") from error
    try:
        connection.add_termination_listener(end)
        await connection.add_listener(channel, notice)
        await lost.wait()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Unavailable("the database connection was lost") from error
    finally:
        connection.terminate()
