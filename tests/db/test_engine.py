"""The pool: closed connections are replaced, waits have limits, read-only servers are left."""

import asyncio
from contextlib import suppress
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from db import engine
from db.engine import AsyncSession, Database
from db.tables import User
from errors import DeadlinePassed, Unavailable

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


async def execute(session: AsyncSession, statement: str) -> Any:
    return await session.exec(text(statement))  # type: ignore[call-overload]


async def test_no_statement_and_no_lock_lasts_for_ever(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "LOCK_LIMIT_S", 0.2)
    database = Database(database_url, pool_size=2, statement_limit_s=0.5)
    with pytest.raises(DeadlinePassed, match="took too long"):
        async with database.transaction() as session:
            await execute(session, "SELECT pg_sleep(30)")
    async with database.transaction() as holder:
        await execute(holder, "SELECT pg_advisory_xact_lock(1)")
        with pytest.raises(Unavailable, match="are changing the same rows"):
            async with database.transaction() as session:
                await execute(session, "SELECT pg_advisory_xact_lock(1)")
    assert await database.check()
    await database.aclose()


async def set_read_only(database_url: str, switch: str) -> None:
    """Sets it for every new session, as after a failover."""
    writable = {"default_transaction_read_only": "off"}
    other = await asyncpg.connect(database_url, server_settings=writable)
    name = await other.fetchval("SELECT current_database()")
    await other.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {switch}")
    await other.close()


async def test_a_read_only_moment_is_told_and_left_behind(database_url: str) -> None:
    await set_read_only(database_url, "on")
    database = Database(database_url, pool_size=2)
    assert not await database.check()
    async with database.read() as session:
        assert (await execute(session, "SELECT 1")).scalar_one() == 1
    with pytest.raises(Unavailable, match="takes no changes right now"):
        async with database.transaction() as session:
            await execute(session, "CREATE TABLE t (a int)")
    await set_read_only(database_url, "off")
    for _ in range(3):  # each connection of the old server is given up when it refuses
        with suppress(Unavailable):
            async with database.transaction() as session:
                await execute(session, "CREATE TABLE IF NOT EXISTS t (a int)")
    async with database.transaction() as session:
        await execute(session, "INSERT INTO t VALUES (1)")
    assert await database.check()
    await database.aclose()


async def test_errors_tell_no_values_of_rows(database_url: str) -> None:
    database = Database(database_url, pool_size=1)
    with pytest.raises(IntegrityError) as caught:
        async with database.transaction() as session:
            for _ in range(2):
                session.add(User(email="who@example.com", password_hash="a-hash-to-hide"))
                await session.flush()
    assert "uq_users_email" in str(caught.value)
    assert "a-hash-to-hide" not in str(caught.value)
    await database.aclose()
