"""Databases for tests: cloned from a migrated one, and emptied for the next test.

Emptying takes 10 ms, cloning and dropping 100 ms, which is half of what a short test takes. A
database that a test has changed otherwise than by rows is dropped: its catalogue is compared with
the template's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg

Result = TypeVar("Result")
TEMPLATE = "migrated"
ROWS_AT_MOST = 500
"""A database that held more rows is dropped: its files would stay large."""

FIRST_OWN_OID = 16_384
CATALOGUES = {
    "pg_attribute": "attrelid", "pg_attrdef": "adrelid", "pg_constraint": "oid",
    "pg_index": "indexrelid", "pg_trigger": "oid", "pg_proc": "oid", "pg_type": "oid",
    "pg_namespace": "oid", "pg_extension": "oid", "pg_rewrite": "oid", "pg_policy": "oid",
    "pg_statistic_ext": "oid", "pg_default_acl": "oid", "pg_largeobject_metadata": "oid",
}  # fmt: skip
"""Where PostgreSQL keeps the schema, and the column that tells our objects from its own."""


class Cluster:
    """The PostgreSQL of a test run, by the URL of its maintenance database."""

    def __init__(self, url: str) -> None:
        self._url = url

    def url_of(self, name: str) -> str:
        return urlsplit(self._url)._replace(path=f"/{name}").geturl()

    def execute(self, *statements: str) -> None:
        async def run(connection: Any) -> None:
            for statement in statements:
                await connection.execute(statement)

        in_connection(self._url, run)

    def weaken_logins(self) -> None:
        """One round of hashing for a password instead of 4,096, at every connection."""
        password = urlsplit(self._url).password
        self.execute("SET scram_iterations = 1", f"ALTER ROLE CURRENT_USER PASSWORD '{password}'")

    def clone(self, template: str) -> str:
        """The name of a copy; copying files takes a third of the time that logged pages take."""
        name = f"t_{uuid4().hex}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return name

    def drop(self, name: str) -> None:
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")


class CleanDatabases:
    """Migrated databases without rows, lent to one test at a time."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._clean: list[str] = []
        self._sample: str | None = None

    @contextmanager
    def lend(self) -> Iterator[str]:
        """The URL of one, until the block ends."""
        if self._sample is None:
            self._sample = in_connection(self.cluster.url_of(TEMPLATE), describe)
        name = self._clean.pop() if self._clean else self.cluster.clone(TEMPLATE)
        yield self.cluster.url_of(name)
        if self._is_clean_again(name):
            self._clean.append(name)
        else:
            self.cluster.drop(name)

    def _is_clean_again(self, name: str) -> bool:
        async def reset(connection: Any) -> bool:
            await connection.execute(END_OTHERS)
            if await describe(connection) != self._sample:
                return False
            return await empty(connection) <= ROWS_AT_MOST

        try:
            return in_connection(self.cluster.url_of(name), reset)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False  # read-only, closed to connections, locked: the test left it so


END_OTHERS = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
DESCRIBE = "SELECT md5(concat_ws('|', {parts}))".format(
    parts=", ".join(
        [
            f"(SELECT string_agg(c::text, ';' ORDER BY c::text) FROM {name} AS c"
            f" WHERE {column} >= {FIRST_OWN_OID})"
            for name, column in CATALOGUES.items()
        ]
        + [
            "(SELECT string_agg(concat(oid, relname, relkind, reloptions, relrowsecurity), ';'"
            f" ORDER BY oid) FROM pg_class WHERE oid >= {FIRST_OWN_OID})",
            "(SELECT string_agg(s::text, ';') FROM pg_sequence AS s)",
            "(SELECT string_agg(version_num, ';') FROM alembic_version)",
            "(SELECT string_agg(s.setconfig::text, ';') FROM pg_db_role_setting AS s"
            " JOIN pg_database AS d ON d.oid = s.setdatabase WHERE datname = current_database())",
            "(SELECT concat(datconnlimit, datallowconn, encoding) FROM pg_database"
            " WHERE datname = current_database())",
        ]
    )
)
TABLES = """
    SELECT relname FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'
"""
RESTART_SEQUENCES = """
    SELECT setval(format('%I.%I', schemaname, sequencename), start_value, false)
    FROM pg_sequences WHERE last_value IS NOT NULL
"""


async def describe(connection: Any) -> str:
    """A digest of everything but rows: tables, constraints, functions, settings, the version."""
    return str(await connection.fetchval(DESCRIBE))


async def empty(connection: Any) -> int:
    """Deletes all rows and starts the sequences again; how many rows there were."""
    tables = [row["relname"] for row in await connection.fetch(TABLES)]
    deletions = ", ".join(
        f"d{place} AS (DELETE FROM {table} RETURNING 1)" for place, table in enumerate(tables)
    )
    counts = " + ".join(f"(SELECT count(*) FROM d{place})" for place in range(len(tables)))
    await connection.execute("SET session_replication_role = replica")  # in any order of tables
    rows = int(await connection.fetchval(f"WITH {deletions} SELECT {counts}"))
    await connection.execute(RESTART_SEQUENCES)
    return rows


def in_connection(url: str, work: Callable[[Any], Awaitable[Result]]) -> Result:
    """What the work returns, with a connection that is closed afterwards."""

    async def run() -> Result:
        connection = await asyncpg.connect(url, timeout=30)
        try:
            return await work(connection)
        finally:
            await connection.close()

    return asyncio.run(run())
