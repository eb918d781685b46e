"""Queries over masks that were made."""

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import SegmentationResult


async def save_segmentation(session: AsyncSession, result: SegmentationResult) -> None:
    """A row; a second attempt at the same one finds it there and leaves it."""
    if await session.get(SegmentationResult, result.id) is None:
        session.add(result)


async def get_segmentation_by_mask(
    session: AsyncSession, mask_key: str
) -> SegmentationResult | None:
    """Anyone's result by its mask; the caller decides who may use it."""
    query = select(SegmentationResult).where(SegmentationResult.mask_key == mask_key)
    return (await session.exec(query)).first()
