"""Removes doomed blobs, whose rows were deleted; a removal that fails is tried again later."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import structlog

from db.deletion.erasures import DoomedClaim, claim_doomed, delete_doomed, release_doomed
from db.engine import Database
from errors import StudioError
from integrations.blobs.lifetimes import UPLOAD_END
from studio.ports import BlobStore

CONCURRENT_REMOVALS = 8
BATCH = 200

log = structlog.get_logger("studio.blobs")


async def remove_blob(blobs: BlobStore, key: str) -> None:
    """Removes a blob if it exists; an upload to its key that still arrives is refused.

    Raises:
        Unavailable: the store does not answer.
    """
    if key.startswith("uploads/"):
        await blobs.bury(key, until=datetime.now(UTC) + UPLOAD_END)
    else:
        await blobs.delete(key)


async def remove_blobs(blobs: BlobStore, keys: Collection[str]) -> dict[str, StudioError]:
    """Removes blobs, several at a time. Returns the errors of those that could not be removed."""
    slots = asyncio.Semaphore(CONCURRENT_REMOVALS)
    failures: dict[str, StudioError] = {}

    async def remove(key: str) -> None:
        async with slots:
            try:
                await remove_blob(blobs, key)
            except StudioError as error:
                failures[key] = error

    await asyncio.gather(*map(remove, sorted(keys)))
    return failures


async def remove_doomed(database: Database, blobs: BlobStore) -> int:
    """Removes all doomed blobs that are due. Returns how many. Any number of processes may do this.

    A blob that can't be removed is tried again later and does not delay the others.

    Raises:
        Unavailable: the database does not answer, or the store could not remove any blob of a
            batch; these blobs stay doomed.
    """
    removed = 0
    while True:
        claim, failures = await _remove_batch(database, blobs)
        removed += len(claim.keys) - len(failures)
        if len(claim.keys) < BATCH:
            return removed


async def remove_soon(database: Database, blobs: BlobStore, keys: Sequence[str]) -> None:
    """Removes the first batch of the blobs that a request has doomed, after its commit.

    `tidy` removes the rest, and all of them if the store does not answer now.
    """
    try:
        if keys:
            await _remove_batch(database, blobs, keys[:BATCH])
    except StudioError as error:
        log.warning("blobs.removal_waits", reason=error.detail)


async def _remove_batch(
    database: Database, blobs: BlobStore, keys: Sequence[str] | None = None
) -> tuple[DoomedClaim, dict[str, StudioError]]:
    """Claims a batch and removes it between two transactions, which don't wait for the store."""
    async with database.transaction() as session:
        claim = await claim_doomed(session, limit=BATCH, keys=keys)
    failures = await remove_blobs(blobs, claim.keys)
    is_store_down = bool(failures) and len(failures) == len(claim.keys)
    async with database.transaction() as session:
        if is_store_down:
            await release_doomed(session, claim)
        else:
            await delete_doomed(session, claim, [key for key in claim.keys if key not in failures])
    if is_store_down:
        raise next(iter(failures.values()))
    return claim, failures
