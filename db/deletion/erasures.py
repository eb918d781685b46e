"""Queries over deletions: what was deleted, and blobs that have to go with it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import func, text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import DoomedBlob, Erasure

ROWS_AT_ONCE = 1000
"""A statement takes 32,767 parameters."""
CLAIM_TIME = timedelta(minutes=10)
"""A remover that was stopped leaves its blobs to others so much later."""
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


CLAIM = """
WITH due AS (
    SELECT key, due_at FROM doomed_blob
    WHERE due_at <= now() AND (CAST(:keys AS text[]) IS NULL OR key = ANY(CAST(:keys AS text[])))
    ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED),
taken AS (
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


async def _run(session: AsyncSession, statement: str, **given: Any) -> Any:
    return await session.exec(text(statement), params=given)  # type: ignore[call-overload]


@dataclass(frozen=True)
class DoomedClaim:
    """Keys that one remover has until then; afterwards they are due once more."""

    keys: list[str]
    until: datetime


async def claim_doomed(
    session: AsyncSession, *, limit: int, keys: Sequence[str] | None = None
) -> DoomedClaim:
    """Some of what is due, of these keys where they are given; nobody else gets them meanwhile."""
    until: datetime = (await session.exec(select(func.clock_timestamp() + CLAIM_TIME))).one()
    given = None if keys is None else list(keys)
    rows = await _run(session, CLAIM, keys=given, limit=limit, until=until)
    return DoomedClaim([str(row[0]) for row in rows], until)


async def forget_doomed(session: AsyncSession, claim: DoomedClaim, keys: Sequence[str]) -> None:
    """The blobs are gone; one that may be written again stays entered for its later time."""
    await _run(session, FORGET, until=claim.until, keys=list(keys))


async def give_back_doomed(session: AsyncSession, claim: DoomedClaim) -> None:
    """Nothing could be removed: all is due at once."""
    await _run(session, GIVE_BACK, until=claim.until, keys=claim.keys)
