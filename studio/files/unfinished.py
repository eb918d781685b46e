"""Deletes uploads that never became ready: not uploaded, not completed, or failed."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog

from db.engine import Database
from db.files import delete_file, lock_unfinished
from db.tables import File
from errors import StudioError
from studio.deletion.blob_removal import remove_blob
from studio.ports import BlobStore

RETENTION = timedelta(days=1)
"""The age at which an upload is deleted; it can no longer arrive then (see `upload_ends_at`)."""
BATCH = 20
MOST_STUCK = 20
"""A round stops after this many failed removals: the blob store is probably down."""

log = structlog.get_logger("studio.files")


async def reap_unfinished(database: Database, blobs: BlobStore) -> int:
    """Removes blobs and rows, and returns the number of rows; several dispatchers may run it.

    A file whose blob can't be removed stays for the next round and does not delay the others.

    Raises:
        Unavailable: the database or the blob store can't be reached; the next round continues.
    """
    before = datetime.now(UTC) - RETENTION
    reaped, stuck = 0, set[UUID]()
    while len(stuck) < MOST_STUCK:
        async with database.transaction() as session:
            files = await lock_unfinished(session, before=before, limit=BATCH, without=stuck)
            free = [file.id for file in files if await _remove(blobs, file)]
            for file_id in free:  # rows go last, so that a failed removal is tried again
                await delete_file(session, file_id)
        reaped += len(free)
        stuck |= {file.id for file in files} - set(free)
        if len(files) < BATCH:
            break
    if reaped:
        log.info("files.reaped", count=reaped)
    await blobs.drop_unfinished(older_than_s=RETENTION.total_seconds())
    return reaped


async def _remove(blobs: BlobStore, file: File) -> bool:
    """Removes the blob, so that a late PUT is refused. Returns False if that fails."""
    try:
        await remove_blob(blobs, file.blob_key)
    except StudioError as error:
        log.warning("files.blob_stays", file_id=str(file.id), error=error.detail)
        return False
    return True
