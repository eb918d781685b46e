"""Listens to PostgreSQL's NOTIFY, so that pollers react sooner; a lost message does no harm."""

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg

from db.connect import DatabaseUrl, connect
from errors import Unavailable

CONNECT_S = 5


async def listen(url: DatabaseUrl, channel: str, on_notice: Callable[[], None]) -> None:
    """Calls `on_notice` at every message on the channel; returns when the connection is lost.

    Raises:
        Unavailable: the database can't be reached.
    """
    is_lost = asyncio.Event()

    def end(_: Any) -> None:
        is_lost.set()

    def notify(*_: Any) -> None:
        on_notice()

    try:
        connection = await connect(url, timeout=CONNECT_S)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise Unavailable("the database can't be reached") from error
    try:
        connection.add_termination_listener(end)
        await connection.add_listener(channel, notify)
        await is_lost.wait()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Unavailable("the database connection was lost") from error
    finally:
        connection.terminate()
