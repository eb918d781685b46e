"""Removes blobs whose rows are deleted: at once after the commit, and until they are gone."""

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime

import structlog

from db.engine import Database
from db.erasures import forget_doomed, lock_doomed, postpone_doomed
from errors import StudioError
from studio.file_rules import UPLOAD_END
from studio.ports import BlobStore

AT_ONCE = 8
BATCH = 200

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


async def remove_blobs(blobs: BlobStore, keys: Collection[str]) -> dict[str, StudioError]:
    """As `remove_blob`, several side by side; those that could not be removed, and why."""
    room = asyncio.Semaphore(AT_ONCE)
    failures: dict[str, StudioError] = {}

    async def remove(key: str) -> None:
        async with room:
            try:
                await remove_blob(blobs, key)
            except StudioError as error:
                failures[key] = error

    await asyncio.gather(*map(remove, sorted(keys)))
    return failures


async def remove_doomed(database: Database, blobs: BlobStore) -> int:
    """Removes what is due; how many. Any number of processes may do this at once.

    A blob that can't be removed is tried again later, and keeps no other one waiting.

    Raises:
        Unavailable: the database is away, or the store removed nothing; all stays entered.
    """
    removed = 0
    while True:
        async with database.transaction() as session:
            keys = await lock_doomed(session, limit=BATCH)
            failures = await remove_blobs(blobs, keys)
            if failures and len(failures) == len(set(keys)):
                raise next(iter(failures.values()))
            await forget_doomed(session, [key for key in keys if key not in failures])
            await postpone_doomed(session, list(failures))
        removed += len(keys) - len(failures)
        if len(keys) < BATCH:
            return removed


async def remove_soon(database: Database, blobs: BlobStore) -> None:
    """After the commit of a deletion. A store that is away now is asked again by the tidy."""
    try:
        await remove_doomed(database, blobs)
    except StudioError as error:
        log.warning("blobs.removal_waits", reason=error.detail)
