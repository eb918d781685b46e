"""Queries over deletions, and over doomed blobs, which have to be removed with them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from db.deletion.statement import run_statement
from db.tables import DoomedBlob, Erasure

ROWS_PER_STATEMENT = 1000
"""A statement takes 32,767 parameters."""
CLAIM_TIME = timedelta(minutes=10)
"""Blobs that a stopped process has claimed are due again after this time."""
Item = TypeVar("Item")


def pieces(items: Sequence[Item], size: int = ROWS_PER_STATEMENT) -> Iterator[Sequence[Item]]:
    """The items in order, in pieces of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def insert_erasure(session: AsyncSession, kind: str, subject: str) -> None:
    """Records a deletion, in the transaction that makes it."""
    session.add(Erasure(kind=kind, subject=subject))


async def insert_past_erasure(session: AsyncSession, erasure: Erasure) -> None:
    """Records a deletion of the past with its own id and time, unless it is recorded already."""
    values = erasure.model_dump()
    await session.exec(insert(Erasure).values(values).on_conflict_do_nothing())


async def list_erasures(session: AsyncSession, *, after: datetime | None = None) -> list[Erasure]:
    """The deletions, or those after a time, oldest first."""
    query = select(Erasure).order_by(col(Erasure.at), col(Erasure.id))
    if after is not None:
        query = query.where(col(Erasure.at) > after)
    return list((await session.exec(query)).all())


async def list_erasure_ids(session: AsyncSession) -> set[UUID]:
    """The ids of all recorded deletions."""
    return set((await session.exec(select(Erasure.id))).all())


async def doom_blobs(
    session: AsyncSession, keys: Iterable[str], *, due_at: datetime | None = None
) -> None:
    """Dooms blobs: they are removed after this transaction has committed, or at `due_at`."""
    rows = [{"key": key, "due_at": due_at or func.now()} for key in sorted(set(keys))]
    for some in pieces(rows):
        await session.exec(insert(DoomedBlob).values(some).on_conflict_do_nothing())


CLAIM = """
WITH due AS (
    SELECT key, due_at FROM doomed_blob
    WHERE due_at <= now() AND (CAST(:keys AS text[]) IS NULL OR key = ANY(CAST(:keys AS text[])))
    ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED),
removed AS (
    DELETE FROM doomed_blob USING due
    WHERE (doomed_blob.key, doomed_blob.due_at) = (due.key, due.due_at))
INSERT INTO doomed_blob (key, due_at) SELECT DISTINCT key, CAST(:until AS timestamptz) FROM due
ON CONFLICT DO NOTHING RETURNING key
"""
FORGET = "DELETE FROM doomed_blob WHERE due_at = :until AND key = ANY(CAST(:keys AS text[]))"
GIVE_BACK = f"""
WITH gone AS ({FORGET} RETURNING key)
INSERT INTO doomed_blob (key) SELECT key FROM gone ON CONFLICT DO NOTHING
"""  # noqa: S608


@dataclass(frozen=True)
class DoomedClaim:
    """Doomed blobs that one process has claimed; after `until` they are due again."""

    keys: list[str]
    until: datetime


async def claim_doomed(
    session: AsyncSession, *, limit: int, keys: Sequence[str] | None = None
) -> DoomedClaim:
    """Claims doomed blobs that are due; with `keys`, only these. Returns the claim."""
    until: datetime = (await session.exec(select(func.clock_timestamp() + CLAIM_TIME))).one()
    only = None if keys is None else list(keys)
    rows = await run_statement(session, CLAIM, keys=only, limit=limit, until=until)
    return DoomedClaim([str(row[0]) for row in rows], until)


async def delete_doomed(session: AsyncSession, claim: DoomedClaim, keys: Sequence[str]) -> None:
    """Deletes the claim's entries of removed blobs; an entry for a later time stays."""
    await run_statement(session, FORGET, until=claim.until, keys=list(keys))


async def release_doomed(session: AsyncSession, claim: DoomedClaim) -> None:
    """Gives up a claim, so that its blobs are due at once."""
    await run_statement(session, GIVE_BACK, until=claim.until, keys=claim.keys)
