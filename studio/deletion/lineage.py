"""What was made of a picture, and its removal: masks, heatmaps, and try-ons that show a person.

Pictures form a tree: an upload has masks, a try-on made of it can be dressed again. A try-on goes
with the picture of the person in it; it outlives the pictures of garments.
"""

import re
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from db.deletion import mentions
from db.deletion.erasures import doom_blobs, pieces
from db.deletion.lineage import (
    DeletedTryon,
    delete_predictions,
    delete_segmentations,
    delete_tryons,
    find_present,
    forget_garments,
    share_lineage,
)
from db.jobs import delete_jobs
from db.tables import Job, Prediction, SegmentationResult
from errors import StudioError
from studio.ports import Studio

WORKER_END = timedelta(minutes=10)
"""A worker whose job is deleted notices within its lease and grace (40 s), and may write until
then."""
UNSETTLED = frozenset({"queued", "running"})
NAME = re.compile(mentions.NAME)


def mask_id_of(tryon_id: UUID) -> UUID:
    """The mask that is made for a try-on without one; it goes with the try-on."""
    return uuid5(tryon_id, "garment")


def output_key_of(tryon_id: UUID) -> str:
    """Where a try-on's picture lies; a queued try-on has its job's id."""
    return f"tryon/{tryon_id}.png"


def is_fetched(key: str) -> bool:
    """Whether the blob is a copy of a picture from outside, made for one try-on."""
    return key.startswith("uploads/") and "/fetched/" in key


async def drop_unrecorded(
    studio: Studio, table: type[SegmentationResult | Prediction], row_id: UUID, key: str
) -> None:
    """Removes what was made where its row could not be written, unless it was after all.

    A commit may succeed though its answer is lost. While the database is away nothing is removed;
    the sweep finds it.
    """
    with suppress(StudioError):
        async with studio.database.read() as session:
            is_recorded = await session.get(table, row_id) is not None
        if not is_recorded:
            await studio.blobs.delete(key)


async def find_deleted(session: AsyncSession, user_id: UUID, keys: Collection[str]) -> set[str]:
    """Of the pictures that something was just made of, those that were deleted meanwhile.

    The others stay until the end of the transaction. Called where the row of what was made is
    written: either a deletion sees that row, or the row is not written.
    """
    await share_lineage(session, user_id)
    ours = {key for key in keys if not is_fetched(key) and "/" in key and "://" not in key}
    return ours - await find_present(session, ours)


async def delete_made_of(
    session: AsyncSession, keys: Collection[str], *, due_at: datetime | None = None
) -> set[str]:
    """Removes every row of what was made of these blobs, and of what was made of that.

    Returns all their blobs, the given ones included; they are entered as doomed, the given ones
    for `due_at`.
    """
    doomed, fresh = set(keys), set(keys)
    while fresh:
        made = set[str]()
        for some in pieces(sorted(fresh)):
            made |= await _delete_made_directly(session, some)
        fresh = made - doomed
        doomed |= fresh
    await doom_blobs(session, keys, due_at=due_at)
    await doom_blobs(session, doomed - set(keys))
    return doomed


async def _delete_made_directly(session: AsyncSession, keys: Collection[str]) -> set[str]:
    made = await delete_segmentations(session, inputs=keys)
    made |= await delete_predictions(session, inputs=keys)
    for tryon in await delete_tryons(session, people=keys):
        made |= await _follow_tryon(session, tryon)
    await forget_garments(session, keys)
    return made


async def delete_tryon_rows(session: AsyncSession, ids: Collection[UUID]) -> set[str]:
    """Removes try-ons with their jobs and all that was made of their pictures; their blobs."""
    made = set[str]()
    for tryon in await delete_tryons(session, ids=ids):
        made |= await _follow_tryon(session, tryon)
    return await delete_made_of(session, made)


async def _follow_tryon(session: AsyncSession, tryon: DeletedTryon) -> set[str]:
    """What goes with a try-on's row: its job, output, fetched copies, and the mask made for it."""
    output_key = output_key_of(tryon.id)
    if tryon.job_id is not None:
        await delete_jobs(session, [tryon.job_id])
        await doom_blobs(session, [output_key], due_at=datetime.now(UTC) + WORKER_END)
    masks = await delete_segmentations(session, ids=[mask_id_of(tryon.id)])
    return masks | {output_key} | {key for key in tryon.inputs if is_fetched(key)}


async def delete_inputs(session: AsyncSession, tryon_id: UUID, keys: Collection[str]) -> set[str]:
    """Removes what was stored for a try-on that came to nothing; all blobs of it."""
    masks = await delete_segmentations(session, ids=[mask_id_of(tryon_id)])
    return await delete_made_of(session, masks | set(keys))


async def delete_own_jobs(
    session: AsyncSession, owner_id: UUID, *, limit: int
) -> tuple[int, set[str]]:
    """Removes some jobs of an account with their events, running ones too: their workers find out
    at their next step. How many, and their blobs, which are entered as doomed.
    """
    query = (
        select(Job)
        .where(Job.owner_id == owner_id)
        .order_by(col(Job.id))
        .limit(limit)
        .with_for_update()
    )
    rows = (await session.exec(query)).all()
    if rows:
        await delete_jobs(session, [row.id for row in rows])
    outputs = [output_key_of(row.id) for row in rows if row.type == "tryon"]
    await doom_blobs(session, outputs, due_at=datetime.now(UTC) + WORKER_END)
    received = [str(row.payload["blobKey"]) for row in rows if "blobKey" in row.payload]
    keys = {*outputs, *received}
    await doom_blobs(session, keys)
    return len(rows), keys
