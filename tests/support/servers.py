"""The real servers of a test run: one PostgreSQL and one Valkey, a fresh database for each test.

    async def test_something(database_url: str, redis_url: str) -> None: ...

`database_url` is a migrated clone that is dropped afterwards; `redis_url` is emptied before.
"""

import asyncio
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from db.migrate import upgrade
from local.servers.postgres import Postgres
from local.servers.valkey import Valkey

TEMPLATE = "migrated"


@pytest.fixture(scope="session")
def server_data_dir() -> Iterator[Path]:
    """A folder that the servers' own user can enter, which pytest's are not when root runs it."""
    folder = Path(tempfile.mkdtemp(prefix="studio-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_url(server_data_dir: Path) -> Iterator[str]:
    """A PostgreSQL of this test run, at its maintenance database."""
    server = Postgres(server_data_dir, durable=False)
    server.start()
    yield server.url("postgres")
    server.stop()


@pytest.fixture(scope="session")
def template_database(postgres_url: str) -> str:
    """The name of a database with every migration, made once."""
    _execute(postgres_url, f"CREATE DATABASE {TEMPLATE}")
    upgrade(_with_database(postgres_url, TEMPLATE))
    return TEMPLATE


@pytest.fixture
def database_url(postgres_url: str, template_database: str) -> Iterator[str]:
    """A migrated database of this test's own."""
    yield from _clone(postgres_url, template_database)


@pytest.fixture(scope="module")
def module_database_url(postgres_url: str, template_database: str) -> Iterator[str]:
    """A migrated database that a module's tests share."""
    yield from _clone(postgres_url, template_database)


@pytest.fixture
def empty_database_url(postgres_url: str) -> Iterator[str]:
    """A database without any table."""
    yield from _clone(postgres_url, "template1")


@pytest.fixture(scope="session")
def valkey_server_url(server_data_dir: Path) -> Iterator[str]:
    """A Valkey of this test run."""
    server = Valkey(server_data_dir)
    yield server.start()
    server.stop()


@pytest.fixture
def redis_url(valkey_server_url: str) -> str:
    """The run's Valkey, emptied."""
    empty_cache(valkey_server_url)
    return valkey_server_url


def empty_cache(url: str) -> None:
    """Forgets everything, as a cache may."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as connection:
        connection.sendall(f"AUTH {parts.password}\r\nFLUSHALL\r\n".encode())
        answer = b""
        while answer.count(b"+OK") < 2 and (more := connection.recv(256)):
            answer += more
    assert answer.count(b"+OK") == 2, answer


def _clone(server_url: str, template: str) -> Iterator[str]:
    name = f"t_{uuid4().hex}"
    _execute(server_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _with_database(server_url, name)
    _execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def _with_database(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def _execute(url: str, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())
