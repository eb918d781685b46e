"""Deletes what was derived from a picture: masks, heatmaps, and try-ons that show a person.

Pictures form a tree: an upload has masks, and the result of a try-on can be the input of another
one. A try-on is deleted with the picture of its person; it outlives the pictures of its garments.
"""

import re
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from sqlmodel.ext.asyncio.session import AsyncSession

from db.deletion import mentions
from db.deletion.account_rows import lock_own_jobs
from db.deletion.erasures import doom_blobs, pieces
from db.deletion.lineage import (
    DeletedTryon,
    clear_garments,
    delete_predictions,
    delete_segmentations,
    delete_tryons,
    list_present,
    share_lineage,
)
from db.jobs import delete_jobs
from db.tables import Prediction, SegmentationResult, TryonJob
from errors import StudioError
from studio.ports import Studio

WORKER_END = timedelta(minutes=10)
"""A worker whose job is deleted notices it within its lease and grace (40 s), and may write until
then."""
UNSETTLED = frozenset({"queued", "running"})
NAME = re.compile(mentions.NAME)


def mask_id_of(tryon_id: UUID) -> UUID:
    """The id of the mask that the studio creates for a try-on; it is deleted with the try-on."""
    return uuid5(tryon_id, "garment")


def output_key_of(tryon_id: UUID) -> str:
    """The key of a try-on's picture; a queued try-on has its job's id."""
    return f"tryon/{tryon_id}.png"


def is_fetched(key: str) -> bool:
    """Whether the blob is a copy of a picture from another site, stored for one result."""
    return key.startswith("uploads/") and "/fetched/" in key


async def delete_unrecorded_blob(
    studio: Studio, table: type[SegmentationResult | Prediction | TryonJob], row_id: UUID, key: str
) -> None:
    """Deletes the blob of a result whose row could not be written.

    A commit may succeed although its answer is lost, so the row is looked up first. If the database
    does not answer, nothing is deleted; the sweep deletes the blob later.
    """
    with suppress(StudioError):
        async with studio.database.read() as session:
            is_recorded = await session.get(table, row_id) is not None
        if not is_recorded:
            await studio.blobs.delete(key)


async def find_deleted(session: AsyncSession, user_id: UUID, keys: Collection[str]) -> set[str]:
    """The input pictures of a new result that were deleted meanwhile.

    The others can't be deleted until the transaction ends. Call it in the transaction that inserts
    the result's row, so that a later deletion finds that row.
    """
    await share_lineage(session, user_id)
    stored = {key for key in keys if not is_fetched(key) and "/" in key and "://" not in key}
    return stored - await list_present(session, stored)


async def delete_derived(session: AsyncSession, keys: Collection[str]) -> set[str]:
    """Deletes every row that was derived from these blobs, directly or indirectly.

    Returns the keys of all their blobs and `keys`, and dooms them.
    """
    doomed, fresh = set(keys), set(keys)
    while fresh:
        derived = set[str]()
        for some in pieces(sorted(fresh)):
            derived |= await _delete_directly_derived(session, some)
        fresh = derived - doomed
        doomed |= fresh
    await doom_blobs(session, doomed)
    return doomed


async def _delete_directly_derived(session: AsyncSession, keys: Collection[str]) -> set[str]:
    blobs = await delete_segmentations(session, inputs=keys)
    blobs |= await delete_predictions(session, inputs=keys)
    for tryon in await delete_tryons(session, people=keys):
        blobs |= await _delete_with_tryon(session, tryon)
    await clear_garments(session, keys)
    return blobs


async def delete_tryon_rows(session: AsyncSession, ids: Collection[UUID]) -> set[str]:
    """Deletes try-ons with their jobs and everything derived from their pictures.

    Returns the keys of all their blobs.
    """
    blobs = set[str]()
    for tryon in await delete_tryons(session, ids=ids):
        blobs |= await _delete_with_tryon(session, tryon)
    return await delete_derived(session, blobs)


async def _delete_with_tryon(session: AsyncSession, tryon: DeletedTryon) -> set[str]:
    """Deletes the job and the mask of a deleted try-on. Returns its blobs."""
    output_key = output_key_of(tryon.id)
    if tryon.job_id is not None:
        await delete_jobs(session, [tryon.job_id])
        await doom_blobs(session, [output_key], due_at=datetime.now(UTC) + WORKER_END)
    masks = await delete_segmentations(session, ids=[mask_id_of(tryon.id)])
    return masks | {output_key} | {key for key in tryon.inputs if is_fetched(key)}


async def delete_inputs(session: AsyncSession, tryon_id: UUID, keys: Collection[str]) -> set[str]:
    """Deletes what was stored for a try-on that failed. Returns the keys of all its blobs."""
    masks = await delete_segmentations(session, ids=[mask_id_of(tryon_id)])
    return await delete_derived(session, masks | set(keys))


async def delete_own_jobs(
    session: AsyncSession, owner_id: UUID, *, limit: int
) -> tuple[int, set[str]]:
    """Deletes some jobs of an account with their events, and dooms their blobs.

    It also deletes running jobs; their workers notice it at their next step. Returns the number of
    deleted jobs, and the keys of their blobs.
    """
    rows = await lock_own_jobs(session, owner_id, limit=limit)
    if rows:
        await delete_jobs(session, [row.id for row in rows])
    outputs = [output_key_of(row.id) for row in rows if row.type == "tryon"]
    await doom_blobs(session, outputs, due_at=datetime.now(UTC) + WORKER_END)
    imports = [str(row.payload["blobKey"]) for row in rows if "blobKey" in row.payload]
    keys = {*outputs, *imports}
    await doom_blobs(session, keys)
    return len(rows), keys
