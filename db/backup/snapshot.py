"""Writes a snapshot of the whole database, a file for each table, and loads it again.

The files are in the text format of COPY, compressed. Any later PostgreSQL reads them, also through
`psql`. The dump programs are not used, because they may be missing or too old for the server.
"""

# ruff: noqa: S608 - names come from the server's catalogue, and are quoted

import asyncio
import gzip
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import text

from db.backup.snapshot_queries import (
    COLUMNS,
    FOREIGN_KEYS,
    OTHERS,
    SEQUENCES,
    VERSIONS,
    json_keys,
    quoted,
    text_keys,
)
from db.engine import AsyncSession, Database
from errors import Conflict, Invalid

LIMIT_S = 24 * 3600.0
"""The time limit of a backup's statements; its pool is made with this limit."""
BACKUP_LOCK = 0x62_61_63_6B_75_70
CHUNK_BYTES = 1 << 20
LEFT_OUT = frozenset({"refresh_token", "api_key"})
"""Tables that a backup leaves out. Restored rows would revive ended sessions and revoked keys, so
all users have to sign in again after a restore, and create new keys for their servers."""
KEYLESS = frozenset({"search_log", "audit_log", "erasure", "doomed_blob"})
"""Tables whose blob keys are ignored, because nobody may read these blobs any more."""

Columns = dict[str, dict[str, str]]
"""Table -> column -> type."""
BackupProgress = Callable[[int, int, str], None]
"""Called with the number of rows done, the total number, and a description."""


@dataclass(frozen=True)
class TableFile:
    """A table's rows in a file; `bytes` and `sha256` are the compressed file's."""

    name: str
    columns: list[str]
    rows: int
    bytes: int
    sha256: str

    @property
    def file(self) -> str:
        """The file's name."""
        return file_of(self.name)


@dataclass(frozen=True)
class Snapshot:
    """The tables' files, and the blobs that their rows need.

    Attributes:
        versions: prefixes of index and regressor versions; every blob below them is needed.
    """

    at: datetime
    revision: str
    server: str
    tables: list[TableFile]
    sequences: dict[str, int]
    blob_keys: set[str]
    versions: list[str]


def file_of(table: str) -> str:
    """The name of a table's file."""
    return f"{table}.copy.gz"


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file of any size, in hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@asynccontextmanager
async def sole_backup(database: Database) -> AsyncIterator[None]:
    """Excludes other backups of this database while the block runs.

    Raises:
        Conflict: another backup is being made.
    """
    async with database.read() as session:
        connection = await driver_of(session)
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", BACKUP_LOCK):
            raise Conflict("another backup of this studio is being made")
        try:
            yield
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", BACKUP_LOCK)


async def take_snapshot(database: Database, folder: Path, report: BackupProgress) -> Snapshot:
    """Writes every table into `folder`, all from one snapshot; others can read and write meanwhile.

    Raises:
        Conflict: the database was never migrated.
    """
    async with database.transaction() as session:
        await session.exec(  # type: ignore[call-overload]
            text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        )
        connection = await driver_of(session)
        await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        revision = await revision_of(connection)
        if revision is None:
            raise Conflict("this database holds no studio: it was never migrated")
        at, server = await connection.fetchrow("SELECT now(), current_setting('server_version')")
        columns = await columns_of(connection)
        tables = []
        for done, name in enumerate(columns):
            report(done, len(columns), f"tables, {name} is next")
            tables.append(await _copy_out(connection, name, list(columns[name]), folder))
        keys = await _blob_keys(connection, columns)
        versions = [row["prefix"] for row in await connection.fetch(VERSIONS)]
        # After a restore, numbers that were used during the backup are skipped: none is used twice.
        sequences = {row["name"]: row["last"] for row in await connection.fetch(SEQUENCES)}
    return Snapshot(at, revision, server, tables, sequences, keys, versions)


async def load_snapshot(
    session: AsyncSession,
    folder: Path,
    tables: Sequence[TableFile],
    sequences: Mapping[str, int],
    report: BackupProgress,
) -> None:
    """Replaces all rows by those of the files, in the caller's transaction.

    Triggers are disabled, and foreign keys are checked at the end.

    Raises:
        Invalid: the tables or columns don't fit the schema, or a file has another number of rows.
    """
    connection = await driver_of(session)
    schema = await columns_of(connection)
    for table in tables:
        if not set(table.columns) <= set(schema.get(table.name, {})):
            raise Invalid(f"the table {table.name} of the backup doesn't fit the schema")
    foreign_keys = await connection.fetch(FOREIGN_KEYS)
    for row in foreign_keys:
        await connection.execute(f"ALTER TABLE {row['owner']} DROP CONSTRAINT {row['name']}")
    await empty_tables(connection)
    for done, table in enumerate(tables):
        report(done, len(tables), f"tables, {table.name} is next")
        await _copy_in(connection, table, folder)
    for row in foreign_keys:
        added = f"ADD CONSTRAINT {row['name']} {row['definition']}"
        await connection.execute(f"ALTER TABLE {row['owner']} {added}")
    for name, last in sequences.items():
        await connection.execute("SELECT setval($1::text::regclass, $2)", quoted(name), last)


async def driver_of(session: AsyncSession) -> Any:
    """The session's asyncpg connection, in the session's transaction."""
    await session.exec(text("SELECT 1"))  # type: ignore[call-overload]
    raw = await (await session.connection()).get_raw_connection()
    return raw.driver_connection


async def revision_of(connection: Any) -> str | None:
    """The schema's revision; None if the database was never migrated."""
    if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
        return None
    revision: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
    return revision


async def columns_of(connection: Any) -> Columns:
    """The columns of every table that a backup contains."""
    columns: Columns = {}
    for row in await connection.fetch(COLUMNS):
        if row["owner"] not in LEFT_OUT:
            columns.setdefault(row["owner"], {})[row["name"]] = row["type"]
    return columns


async def filled_table(connection: Any) -> str | None:
    """The name of a table that has rows; None if all are empty."""
    for name in await columns_of(connection):
        if await connection.fetchval(f"SELECT EXISTS (SELECT FROM {quoted(name)})"):
            return name
    return None


async def empty_tables(connection: Any) -> None:
    """Deletes every row, in the caller's transaction."""
    # An older schema lacks some of the tables that are in no backup.
    names = {row["owner"] for row in await connection.fetch(COLUMNS)}
    every = [*await columns_of(connection), *sorted(LEFT_OUT & names)]
    await connection.execute(f"TRUNCATE {', '.join(quoted(name) for name in every)}")


async def connected_studios(connection: Any) -> int:
    """The number of other connections of a studio to this database."""
    return int(await connection.fetchval(OTHERS))


async def _blob_keys(connection: Any, columns: Columns) -> set[str]:
    """The keys of all blobs that rows refer to, without doomed ones."""
    kinds = {"text": text_keys, "varchar": text_keys, "jsonb": json_keys}
    keys: set[str] = set()
    for table, types in columns.items():
        for column, kind in types.items():
            if kind in kinds and table not in KEYLESS:
                rows = await connection.fetch(kinds[kind](quoted(table), quoted(column)))
                keys.update(row["key"] for row in rows)
    if "doomed_blob" in columns:
        doomed = await connection.fetch("SELECT key FROM doomed_blob")
        keys.difference_update(row["key"] for row in doomed)
    return keys


async def _copy_out(connection: Any, name: str, columns: list[str], folder: Path) -> TableFile:
    path = folder / file_of(name)
    with path.open("wb") as out, gzip.GzipFile("", "wb", 1, out, mtime=0) as packed:

        async def write(data: bytes) -> None:
            await asyncio.to_thread(packed.write, data)

        status = await connection.copy_from_table(
            name, columns=columns, output=write, timeout=LIMIT_S
        )
    rows = int(status.removeprefix("COPY "))
    return TableFile(
        name, columns, rows, path.stat().st_size, await asyncio.to_thread(sha256_of, path)
    )


async def _copy_in(connection: Any, table: TableFile, folder: Path) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        with gzip.open(folder / table.file) as packed:
            while chunk := await asyncio.to_thread(packed.read, CHUNK_BYTES):
                yield chunk

    await connection.execute(f"ALTER TABLE {quoted(table.name)} DISABLE TRIGGER USER")
    status = await connection.copy_to_table(
        table.name, columns=table.columns, source=chunks(), timeout=LIMIT_S
    )
    await connection.execute(f"ALTER TABLE {quoted(table.name)} ENABLE TRIGGER USER")
    if status != f"COPY {table.rows}":
        raise Invalid(f"the backup's file of {table.name} does not hold {table.rows} rows")
