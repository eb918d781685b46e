"""Queries over the results of segmentation."""

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import SegmentationResult


async def save_segmentation(session: AsyncSession, result: SegmentationResult) -> bool:
    """Inserts a result and returns True; returns False where a row with its id (of an earlier
    attempt) or with its owner's idempotency key exists.
    """
    values = result.model_dump(exclude_none=True)
    statement = insert(SegmentationResult).values(values).on_conflict_do_nothing()
    return bool((await session.exec(statement)).rowcount)


async def get_segmentation_by_mask(
    session: AsyncSession, mask_key: str
) -> SegmentationResult | None:
    """The result with this mask, of any user; the caller decides who may use it."""
    query = select(SegmentationResult).where(SegmentationResult.mask_key == mask_key)
    return (await session.exec(query)).first()
