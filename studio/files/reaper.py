"""Uploads that never became ready: not put, not completed, or failed. They leave after a day."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog

from db.engine import Database
from db.files import delete_file, lock_unfinished
from db.tables import File
from errors import StudioError
from studio.deletion.blob_removal import remove_blob
from studio.ports import BlobStore

KEPT = timedelta(days=1)
"""Far longer than an upload may arrive (`upload_ends_at`), so nothing comes after it is reaped."""
BATCH = 20
MOST_STUCK = 20
"""So many blobs that can't be removed end a round: the blob store itself is away then."""

log = structlog.get_logger("studio.files")


async def reap_unfinished(database: Database, blobs: BlobStore) -> int:
    """Removes blobs and rows; how many rows. Any number of dispatchers may do this at once.

    A file whose blob can't be removed stays for the next round, and holds up no other one.

    Raises:
        Unavailable: database or blob store are away; the next turn goes on.
    """
    before = datetime.now(UTC) - KEPT
    reaped, stuck = 0, set[UUID]()
    while len(stuck) < MOST_STUCK:
        async with database.transaction() as session:
            files = await lock_unfinished(session, before=before, limit=BATCH, without=stuck)
            free = [file.id for file in files if await _remove(blobs, file)]
            for file_id in free:  # rows go last: they are what would try again
                await delete_file(session, file_id)
        reaped += len(free)
        stuck |= {file.id for file in files} - set(free)
        if len(files) < BATCH:
            break
    if reaped:
        log.info("files.reaped", count=reaped)
    await blobs.drop_unfinished(older_than_s=KEPT.total_seconds())
    return reaped


async def _remove(blobs: BlobStore, file: File) -> bool:
    """Whether the blob is gone, and a PUT that is still on its way is refused."""
    try:
        await remove_blob(blobs, file.blob_key)
    except StudioError as error:
        log.warning("files.blob_stays", file_id=str(file.id), error=error.detail)
        return False
    return True
