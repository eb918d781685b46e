"""Queries over the search log."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import SearchLog, User


async def insert_searches(session: AsyncSession, rows: Sequence[dict[str, Any]]) -> None:
    """Inserts many rows in one statement; their keys are the columns of `SearchLog`.

    Rows of accounts that have been deleted are left out. The other accounts are locked against
    deletion until the transaction ends.
    """
    user_ids = {row["user_id"] for row in rows if row.get("user_id") is not None}
    live = set[Any]()
    if user_ids:
        query = select(User.id).where(col(User.id).in_(user_ids))
        live = set((await session.exec(query.with_for_update(key_share=True, read=True))).all())
    valid = [row for row in rows if row.get("user_id") is None or row["user_id"] in live]
    if valid:
        await session.exec(insert(SearchLog), params=valid)
