"""Makes a backup: a snapshot of all rows, then every blob that they need, then the manifest."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from db.backup.snapshot import (
    BackupProgress,
    Snapshot,
    columns_of,
    driver_of,
    sole_backup,
    take_snapshot,
)
from db.deletion.erasures import list_erasures
from db.engine import Database
from errors import Invalid, NotFound
from studio.deletion.lifecycle import rule_of
from studio.operations.archive import Archive, ErasureLine, Manifest, StoredBlob
from studio.operations.backup_blobs import CopyResult, copy_blobs, damaged_blobs
from studio.ports import BlobStore


async def make_backup(
    database: Database, blobs: BlobStore, archive: Archive, report: BackupProgress
) -> Manifest:
    """Copies the whole studio while it runs; blobs that the archive has already are not copied.

    A blob never changes, so the blobs of the snapshot's rows can be copied after it. A blob that is
    deleted meanwhile is absent; its erasure is recorded, and a restore repeats it.

    Raises:
        Conflict: another backup of this studio is being made.
        Unavailable: the database or a store does not answer; the backup is not complete.
    """
    async with sole_backup(database):
        backup_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{uuid4().hex[:6]}"
        with tempfile.TemporaryDirectory(prefix="studio-backup-") as name:
            folder = Path(name)
            snapshot = await take_snapshot(database, folder, report)
            for table in snapshot.tables:
                await archive.put_table(backup_id, table, folder)
                (folder / table.file).unlink()
            keys = await _needed_keys(blobs, snapshot)
            existing = await _blobs_of_newest(archive)
            copied = await copy_blobs(blobs, archive, keys, existing, folder, report)
        await save_erasures(database, archive)
        list_sha256 = await archive.put_blob_list(backup_id, copied.stored)
        manifest = _manifest(backup_id, snapshot, copied, list_sha256)
        await archive.write_manifest(manifest)
    return manifest


async def save_erasures(database: Database, archive: Archive) -> int:
    """Adds the studio's deletions to the archive's list. Returns the length of the list.

    This is cheap. Run it often, so that a restore of yesterday's backup repeats today's deletions.
    """
    async with database.transaction() as session:
        if "erasure" not in await columns_of(await driver_of(session)):
            return await archive.add_erasures(())  # the database was not migrated yet
        rows = await list_erasures(session)
    lines = (ErasureLine(**row.model_dump()) for row in rows)
    return await archive.add_erasures(lines)


async def verify_backup(archive: Archive, manifest: Manifest, report: BackupProgress) -> None:
    """Reads every file of a backup and compares it with its checksum.

    Raises:
        Invalid: a file is missing or damaged; the message names it.
    """
    with tempfile.TemporaryDirectory(prefix="studio-verify-") as name:
        folder = Path(name)
        for table in manifest.tables:
            await archive.get_table(manifest, table, folder)
            (folder / table.file).unlink()
        stored = await archive.read_blob_list(manifest)
        damaged = await damaged_blobs(archive, stored, folder, report)
    await archive.read_erasures()
    if damaged:
        raise Invalid(
            f"{len(damaged)} blobs of backup {manifest.id} are missing or damaged: "
            f"{', '.join(damaged[:3])}"
        )


async def _needed_keys(blobs: BlobStore, snapshot: Snapshot) -> set[str]:
    keys = set(snapshot.blob_keys)
    for prefix in snapshot.versions:
        keys.update([key async for key in blobs.list(prefix)])
    return {key for key in keys if is_in_backup(key)}


def is_in_backup(key: str) -> bool:
    """Whether a backup contains the blob; blobs without a rule are included."""
    rule = rule_of(key)
    return rule is None or rule.is_in_backup


async def _blobs_of_newest(archive: Archive) -> dict[str, StoredBlob]:
    """The blobs of the newest backup; none if no backup can be read, so that all are copied."""
    try:
        return await archive.read_blob_list(await archive.read_manifest())
    except (NotFound, Invalid):
        return {}


def _manifest(
    backup_id: str, snapshot: Snapshot, copied: CopyResult, blobs_sha256: str
) -> Manifest:
    return Manifest(
        id=backup_id,
        revision=snapshot.revision,
        server=snapshot.server,
        snapshot_at=snapshot.at,
        finished_at=datetime.now(UTC),
        tables=snapshot.tables,
        sequences=snapshot.sequences,
        blobs_sha256=blobs_sha256,
        blob_count=len(copied.stored),
        blob_bytes=sum(blob.size for blob in copied.stored.values()),
        copied_count=copied.count,
        copied_bytes=copied.bytes,
        absent=sorted(copied.absent),
    )
