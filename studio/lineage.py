"""What was made of a picture, and its removal: masks, heatmaps, and try-ons that show a person.

Pictures form a tree: an upload has masks, a try-on made of it can be dressed again. A try-on goes
with the picture of the person in it; it outlives the pictures of garments.
"""

import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from db.erasures import doom_blobs, pieces
from db.jobs import delete_jobs
from db.lineage import (
    DeletedTryon,
    delete_predictions,
    delete_segmentations,
    delete_tryons,
    find_present,
    forget_garments,
    list_jobs_mentioning,
    share_lineage,
    strip_events,
    strip_searches,
)
from db.tables import Job

WORKER_END = timedelta(minutes=10)
"""A worker whose job is deleted notices within its lease and grace (40 s), and may write until
then."""
UNSETTLED = frozenset({"queued", "running"})
NAME = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
NAMES_AT_ONCE = 200


def mask_id_of(tryon_id: UUID) -> UUID:
    """The mask that is made for a try-on without one; it goes with the try-on."""
    return uuid5(tryon_id, "garment")


def output_key_of(tryon_id: UUID) -> str:
    """Where a try-on's picture lies; a queued try-on has its job's id."""
    return f"tryon/{tryon_id}.png"


def is_fetched(key: str) -> bool:
    """Whether the blob is a copy of a picture from outside, made for one try-on."""
    return key.startswith("uploads/") and "/fetched/" in key


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


async def delete_inputs(session: AsyncSession, tryon_id: UUID, keys: Collection[str]) -> None:
    """Removes what was stored for a try-on that came to nothing."""
    masks = await delete_segmentations(session, ids=[mask_id_of(tryon_id)])
    await delete_made_of(session, masks | set(keys))


async def strip_mentions(session: AsyncSession, owner_id: UUID, keys: Collection[str]) -> None:
    """Ended jobs and searches of the owner no longer name pictures that are deleted.

    A job that still runs names what it was asked for until it ends.
    """
    names = sorted({name for key in keys for name in NAME.findall(key.rpartition("/")[2])})
    for start in range(0, len(names), NAMES_AT_ONCE):
        some = names[start : start + NAMES_AT_ONCE]
        await strip_searches(session, owner_id, some)
        for job in await list_jobs_mentioning(session, owner_id, some):
            if job.state in UNSETTLED:
                continue
            row = await session.get(Job, job.id)
            if row is not None:
                row.payload = without(job.payload, some)
                row.result = without(job.result, some)
                session.add(row)
                await strip_events(session, job.id)


def without(document: Any, names: Collection[str]) -> Any:
    """A JSON document without the members and objects that name one of these; a text in a list
    becomes null, for jobs go by the places of their pictures.
    """
    if isinstance(document, dict):
        rest = {key: without(value, names) for key, value in document.items()}
        return {key: value for key, value in rest.items() if not _names_one(value, names)}
    if isinstance(document, list):
        left = [item for item in document if not _holds_one(item, names)]
        return [None if _names_one(item, names) else without(item, names) for item in left]
    return document


def _names_one(value: Any, names: Collection[str]) -> bool:
    return isinstance(value, str) and any(name in value for name in names)


def _holds_one(item: Any, names: Collection[str]) -> bool:
    return isinstance(item, dict) and any(_names_one(value, names) for value in item.values())


async def delete_own_jobs(session: AsyncSession, owner_id: UUID) -> set[str]:
    """Removes all jobs of an account with their events, running ones too: their workers find out
    at their next step. Returns the blobs that came with them.
    """
    query = select(Job).where(Job.owner_id == owner_id).with_for_update()
    rows = (await session.exec(query)).all()
    for some in pieces(rows):
        await delete_jobs(session, [row.id for row in some])
    outputs = [output_key_of(row.id) for row in rows if row.type == "tryon"]
    await doom_blobs(session, outputs, due_at=datetime.now(UTC) + WORKER_END)
    return {str(row.payload["blobKey"]) for row in rows if "blobKey" in row.payload}
