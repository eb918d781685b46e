"""The embedded servers' processes."""

import socket
from urllib.parse import urlsplit

import asyncpg


async def test_each_test_gets_its_own_migrated_database(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert {"users", "product", "job"} <= {row["tablename"] for row in tables}
    assert str(await connection.fetchval("SHOW server_version")).startswith("18.")
    await connection.close()


async def test_an_open_connection_does_not_keep_the_database(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("CREATE TABLE leftover (id int)")
    assert await connection.fetchval("SELECT lower('ÄÉ')") == "äé"
    # left open on purpose: the fixture drops the database all the same
    connection.terminate()


async def test_the_cache_is_empty_and_asks_for_its_password(redis_url: str) -> None:
    parts = urlsplit(redis_url)
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.sendall(b"PING\r\n")
        assert connection.recv(100).startswith(b"-NOAUTH")
        connection.sendall(f"AUTH {parts.password}\r\nDBSIZE\r\n".encode())
        assert connection.recv(100) == b"+OK\r\n:0\r\n"
