"""The pool: connections that the server has closed are replaced, reads take no transaction."""

import asyncio
from typing import Any

import asyncpg
from sqlalchemy import text

from db.engine import AsyncSession, Database

PID = text("SELECT pg_backend_pid()")


async def pid_of(database: Database) -> int:
    async with database.read() as session:
        return int((await session.exec(PID)).scalar_one())  # type: ignore[call-overload]


async def test_a_connection_that_the_server_closed_is_replaced(database_url: str) -> None:
    database = Database(database_url, pool_size=1)
    first = await pid_of(database)
    assert await pid_of(database) == first
    other = await asyncpg.connect(database_url)
    assert await other.fetchval("SELECT pg_terminate_backend($1, 5000)", first)
    await other.close()
    await asyncio.sleep(0.05)  # our end hears of it
    assert await pid_of(database) != first
    await database.aclose()


async def two_moments(session: AsyncSession) -> list[Any]:
    now = text("SELECT now()")
    return [(await session.exec(now)).scalar_one() for _ in range(2)]  # type: ignore[call-overload]


async def test_queries_of_a_read_each_see_what_is_committed_then(database_url: str) -> None:
    database = Database(database_url, pool_size=2)
    async with database.read() as session:
        first, second = await two_moments(session)
    assert first != second  # two transactions of the server's own
    async with database.transaction() as session:
        first, second = await two_moments(session)
    assert first == second
    await database.aclose()
