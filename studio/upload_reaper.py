"""Uploads that never became ready: not put, not completed, or failed. They leave after a day."""

from datetime import UTC, datetime, timedelta

import structlog

from db.engine import Database
from db.files import delete_file, lock_unfinished
from studio.ports import BlobStore

KEPT = timedelta(days=1)
"""Far longer than an upload may arrive (`upload_ends_at`), so nothing comes after it is reaped."""
BATCH = 20

log = structlog.get_logger("studio.files")


async def reap_unfinished(database: Database, blobs: BlobStore) -> int:
    """Removes blobs and rows; how many rows. Any number of dispatchers may do this at once.

    Raises:
        Unavailable: database or blob store are away; the next turn goes on.
    """
    before = datetime.now(UTC) - KEPT
    reaped = 0
    while True:
        async with database.transaction() as session:
            files = await lock_unfinished(session, before=before, limit=BATCH)
            for file in files:
                await blobs.delete(file.blob_key)  # the row goes last: it is what would try again
                await delete_file(session, file.id)
        reaped += len(files)
        if len(files) < BATCH:
            break
    await blobs.drop_unfinished(older_than_s=KEPT.total_seconds())
    if reaped:
        log.info("files.reaped", count=reaped)
    return reaped
