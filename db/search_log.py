"""Queries over the search log."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import SearchLog


async def insert_searches(session: AsyncSession, rows: Sequence[dict[str, Any]]) -> None:
    """Many rows in one statement; keys as the columns of `SearchLog`."""
    if rows:
        await session.exec(insert(SearchLog), params=list(rows))
