"""Queries over the search log."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import SearchLog, User


async def insert_searches(session: AsyncSession, rows: Sequence[dict[str, Any]]) -> None:
    """Many rows in one statement; keys as the columns of `SearchLog`.

    Searches of accounts that were deleted meanwhile are left out; the others' stay until the end
    of the transaction.
    """
    asked = {row["user_id"] for row in rows if row.get("user_id") is not None}
    there = set[Any]()
    if asked:
        query = select(User.id).where(col(User.id).in_(asked))
        there = set((await session.exec(query.with_for_update(key_share=True, read=True))).all())
    kept = [row for row in rows if row.get("user_id") is None or row["user_id"] in there]
    if kept:
        await session.exec(insert(SearchLog), params=kept)
