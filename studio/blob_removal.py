"""Removes blobs whose rows are deleted: at once after the commit, and until they are gone."""

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import structlog

from db.engine import Database
from db.erasures import forget_doomed, lock_doomed
from errors import StudioError
from studio.ports import BlobStore

AT_ONCE = 8
BATCH = 200
UPLOAD_END = timedelta(minutes=20)
"""Longer than a signed PUT is accepted: until then the key of a deleted upload stays refused."""

log = structlog.get_logger("studio.blobs")


async def remove_blob(blobs: BlobStore, key: str) -> None:
    """Quiet where there is none; an upload that is still on its way is refused.

    Raises:
        Unavailable: the store is away.
    """
    if key.startswith("uploads/"):
        await blobs.bury(key, until=datetime.now(UTC) + UPLOAD_END)
    else:
        await blobs.delete(key)


async def remove_blobs(blobs: BlobStore, keys: Collection[str]) -> None:
    """As `remove_blob`, several side by side; every one is tried.

    Raises:
        Unavailable: the store was away for at least one.
    """
    room = asyncio.Semaphore(AT_ONCE)

    async def remove(key: str) -> None:
        async with room:
            await remove_blob(blobs, key)

    results = await asyncio.gather(*map(remove, sorted(keys)), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def remove_doomed(database: Database, blobs: BlobStore) -> int:
    """Removes what is due; how many. Any number of processes may do this at once.

    Raises:
        Unavailable: database or blob store are away; what is left stays entered.
    """
    removed = 0
    while True:
        async with database.transaction() as session:
            keys = await lock_doomed(session, limit=BATCH)
            await remove_blobs(blobs, keys)
            await forget_doomed(session, keys)
        removed += len(keys)
        if len(keys) < BATCH:
            return removed


async def remove_soon(database: Database, blobs: BlobStore) -> None:
    """After the commit of a deletion. A store that is away now is asked again by the tidy."""
    try:
        await remove_doomed(database, blobs)
    except StudioError as error:
        log.warning("blobs.removal_waits", reason=error.detail)
