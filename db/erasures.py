"""Queries over deletions: what was deleted, and blobs that have to go with it."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TypeVar

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import DoomedBlob, Erasure

ROWS_AT_ONCE = 1000
"""A statement takes 32,767 parameters."""
Item = TypeVar("Item")


def pieces(items: Sequence[Item], size: int = ROWS_AT_ONCE) -> Iterator[Sequence[Item]]:
    """The items in order, at most `size` at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def insert_erasure(session: AsyncSession, kind: str, subject: str) -> None:
    """Records a deletion, in the transaction that does it."""
    session.add(Erasure(kind=kind, subject=subject))


async def list_erasures(session: AsyncSession, *, after: datetime) -> list[Erasure]:
    """Oldest first."""
    query = select(Erasure).where(col(Erasure.at) > after)
    return list((await session.exec(query.order_by(col(Erasure.at), col(Erasure.id)))).all())


async def doom_blobs(
    session: AsyncSession, keys: Iterable[str], *, due_at: datetime | None = None
) -> None:
    """Blobs to remove once this transaction has committed, or at `due_at`."""
    rows = [{"key": key, "due_at": due_at or func.now()} for key in sorted(set(keys))]
    for some in pieces(rows):
        await session.exec(insert(DoomedBlob).values(some).on_conflict_do_nothing())


async def lock_doomed(session: AsyncSession, *, limit: int) -> list[str]:
    """Keys that are due, locked; those that somebody else removes are left out."""
    query = (
        select(DoomedBlob.key)
        .where(col(DoomedBlob.due_at) <= func.now())
        .order_by(col(DoomedBlob.due_at))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return list((await session.exec(query)).all())


async def forget_doomed(session: AsyncSession, keys: Sequence[str]) -> None:
    """The blobs are gone; one that may be written again stays entered for its later time."""
    due = col(DoomedBlob.due_at) <= func.now()
    await session.exec(delete(DoomedBlob).where(col(DoomedBlob.key).in_(keys), due))
