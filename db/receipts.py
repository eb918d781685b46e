"""Receipts: the answers under an idempotency key, stored in the rows of their results."""

from typing import Any
from uuid import UUID

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import SegmentationResult, TryonJob


async def get_receipt(
    session: AsyncSession, table: type[TryonJob] | type[SegmentationResult], user_id: UUID, key: str
) -> dict[str, Any] | None:
    """The receipt of this user's key; None if it has none."""
    query = select(table.receipt).where(table.user_id == user_id, table.idempotency_key == key)
    receipt = (await session.exec(query)).one_or_none()
    return None if receipt is None else dict(receipt)
