"""Answers that were given under an idempotency key, in the rows of what was made."""

from typing import Any
from uuid import UUID

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import SegmentationResult, TryonJob


async def find_receipt(
    session: AsyncSession, table: type[TryonJob] | type[SegmentationResult], user_id: UUID, key: str
) -> dict[str, Any] | None:
    """What this user's key stands for, if anything."""
    query = select(table.receipt).where(table.user_id == user_id, table.idempotency_key == key)
    kept = (await session.exec(query)).one_or_none()
    return None if kept is None else dict(kept)
