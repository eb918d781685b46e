"""Removes blobs whose rows are deleted: at once after the commit, and until they are gone."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import structlog

from db.deletion.erasures import DoomedClaim, claim_doomed, forget_doomed, give_back_doomed
from db.engine import Database
from errors import StudioError
from studio.files.rules import UPLOAD_END
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
        claim, failures = await _remove_batch(database, blobs)
        removed += len(claim.keys) - len(failures)
        if len(claim.keys) < BATCH:
            return removed


async def remove_soon(database: Database, blobs: BlobStore, keys: Sequence[str]) -> None:
    """After the commit of a deletion, by the request itself: what it doomed, the first batch.

    The tidy removes the rest, and asks a store that is away now again.
    """
    try:
        if keys:
            await _remove_batch(database, blobs, keys[:BATCH])
    except StudioError as error:
        log.warning("blobs.removal_waits", reason=error.detail)


async def _remove_batch(
    database: Database, blobs: BlobStore, keys: Sequence[str] | None = None
) -> tuple[DoomedClaim, dict[str, StudioError]]:
    """No transaction waits for the store: what is claimed is postponed, and forgotten once gone."""
    async with database.transaction() as session:
        claim = await claim_doomed(session, limit=BATCH, keys=keys)
    failures = await remove_blobs(blobs, claim.keys)
    is_store_away = bool(failures) and len(failures) == len(claim.keys)
    async with database.transaction() as session:
        if is_store_away:
            await give_back_doomed(session, claim)
        else:
            await forget_doomed(session, claim, [key for key in claim.keys if key not in failures])
    if is_store_away:
        raise next(iter(failures.values()))
    return claim, failures
