"""Restores a backup: verifies it, copies blobs and rows, migrates, and repeats later deletions."""

import asyncio
import tempfile
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from db.backup.restored_versions import fail_versions_without_files, mark_index_versions
from db.backup.snapshot import (
    BackupProgress,
    connected_studios,
    driver_of,
    empty_tables,
    filled_table,
    load_snapshot,
    revision_of,
)
from db.deletion.erasures import insert_past_erasure, list_erasure_ids
from db.engine import Database
from db.migrate import upgrade
from db.migrations.moves import move_schema, require_revision
from db.tables import Erasure
from errors import Conflict, Invalid
from studio.operations.archive import Archive, ErasureLine, Manifest
from studio.operations.backup_blobs import damaged_blobs, restore_blobs
from studio.operations.erasing import repeat_erasure
from studio.ports import Studio

LONGEST_ERASURE = timedelta(hours=1)
"""The longest transaction of a deletion.

An erasure's time is the start of its transaction. So it may be before the time of a snapshot that
does not contain it.
"""
CONNECTION_CHECKS = 20
"""Checks for other connections, a tenth of a second apart."""


@dataclass(frozen=True)
class RestoreSummary:
    """What was restored. `erased`: how many deletions were repeated."""

    rows: int
    blobs: int
    copied: int
    erased: int
    absent: list[str]


async def restore(
    studio: Studio, archive: Archive, manifest: Manifest, *, force: bool, report: BackupProgress
) -> RestoreSummary:
    """Restores a backup into an empty studio that is not running; `force` replaces its contents.

    Nothing is changed before the backup is verified. Blobs are copied first, then all rows in one
    transaction. After a failure the studio may be empty or lack deletions: restore it again.

    Raises:
        Conflict: the target is not empty, or a studio is connected to it.
        Invalid: the backup is damaged.
        SetupError: the backup was created by a newer version of the studio.
    """
    url = studio.settings.required("database_url")
    require_revision(url, manifest.revision)
    with tempfile.TemporaryDirectory(prefix="studio-restore-") as name:
        folder = Path(name)
        for table in manifest.tables:
            await archive.get_table(manifest, table, folder)
        stored = await archive.read_blob_list(manifest)
        if damaged := await damaged_blobs(archive, stored, folder, report):
            raise Invalid(f"{len(damaged)} blobs of the backup are damaged: {damaged[0]}")
        erasures = await archive.read_erasures()
        present = await _clear(studio.database, force=force)
        copied = await restore_blobs(archive, stored, studio.blobs, folder, report)
        await studio.database.aclose()
        await asyncio.to_thread(move_schema, url, present, manifest.revision)
        async with studio.database.transaction() as session:
            await load_snapshot(session, folder, manifest.tables, manifest.sequences, report)
            await mark_index_versions(session, manifest.id)
            await fail_versions_without_files(session, stored)
    await studio.database.aclose()
    await asyncio.to_thread(upgrade, url)
    erased = await _repeat_erasures(studio, manifest, erasures, report)
    return RestoreSummary(manifest.row_count, len(stored), copied, erased, manifest.absent)


async def _clear(database: Database, *, force: bool) -> str | None:
    """Empties all tables if they have rows and `force` is set. Returns the schema's revision.

    Raises:
        Conflict: a studio is connected, or a table has rows and `force` is not set.
    """
    await database.aclose()  # its own idle connections would be counted
    async with database.transaction() as session:
        connection = await driver_of(session)
        await _refuse_connected(connection)
        if table := await filled_table(connection):
            if not force:
                raise Conflict(
                    f"the studio is not empty (table {table}): restore into an empty one, or give "
                    "--force to replace its contents"
                )
            await empty_tables(connection)
        return await revision_of(connection)


async def _refuse_connected(connection: Any) -> None:
    """Checks a few times that no studio is connected; PostgreSQL notices a closed connection late.

    Raises:
        Conflict: a studio uses the database.
    """
    for _ in range(CONNECTION_CHECKS):
        if not (count := await connected_studios(connection)):
            return
        await asyncio.sleep(0.1)
    raise Conflict(f"a studio is connected to the database ({count} connections): stop it")


async def _repeat_erasures(
    studio: Studio, manifest: Manifest, erasures: dict[UUID, ErasureLine], report: BackupProgress
) -> int:
    """Repeats every deletion that the snapshot does not contain. Returns how many there were."""
    async with studio.database.transaction() as session:
        applied = await list_erasure_ids(session)
    since = manifest.snapshot_at - LONGEST_ERASURE
    later = [line for line in erasures.values() if line.id not in applied and line.at >= since]
    later.sort(key=lambda line: (line.at, line.id))
    for done, line in enumerate(later, 1):
        await repeat_erasure(studio, line.kind, line.subject)
        async with studio.database.transaction() as session:
            row = Erasure(**asdict(line))
            await insert_past_erasure(session, row)
        report(done, len(later), "deletions applied again")
    return len(later)
