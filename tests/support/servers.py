"""The real servers of a test run: one PostgreSQL and one Valkey, a clean database for each test.

    async def test_something(database_url: str, redis_url: str) -> None: ...

`database_url` is a migrated database without rows (`tests.support.databases`); `redis_url` is
emptied before. A server is started for the first test that needs it.
"""

import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from db.migrate import upgrade
from local.servers.postgres import Postgres
from local.servers.valkey import Valkey
from tests.support.databases import TEMPLATE, CleanDatabases, Cluster


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Makes the servers' account and copies their programs, before two processes do it at once."""
    with tempfile.TemporaryDirectory(prefix="studio-test-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        Postgres(folder)
        Valkey(folder)


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
def clean_databases(postgres_url: str) -> CleanDatabases:
    """The databases that tests with `database_url` use one after the other."""
    cluster = Cluster(postgres_url)
    cluster.weaken_logins()
    cluster.execute(f"CREATE DATABASE {TEMPLATE}")
    upgrade(cluster.url_of(TEMPLATE))
    return CleanDatabases(cluster)


@pytest.fixture
def database_url(clean_databases: CleanDatabases) -> Iterator[str]:
    """A migrated database without rows, of this test alone."""
    with clean_databases.lend() as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(clean_databases: CleanDatabases) -> Iterator[str]:
    """A migrated database that a module's tests share."""
    with clean_databases.lend() as url:
        yield url


@pytest.fixture
def empty_database_url(clean_databases: CleanDatabases) -> Iterator[str]:
    """A database without any table."""
    cluster = clean_databases.cluster
    name = cluster.clone("template1")
    yield cluster.url_of(name)
    cluster.drop(name)


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
