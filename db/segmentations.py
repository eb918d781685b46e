"""Queries over masks that were made."""

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import SegmentationResult


async def save_segmentation(session: AsyncSession, result: SegmentationResult) -> bool:
    """A row; where its id (a second attempt) or its owner's idempotency key is there already,
    nothing happens. Whether it was inserted.
    """
    values = result.model_dump(exclude_none=True)
    statement = insert(SegmentationResult).values(values).on_conflict_do_nothing()
    return bool((await session.exec(statement)).rowcount)


async def get_segmentation_by_mask(
    session: AsyncSession, mask_key: str
) -> SegmentationResult | None:
    """Anyone's result by its mask; the caller decides who may use it."""
    query = select(SegmentationResult).where(SegmentationResult.mask_key == mask_key)
    return (await session.exec(query)).first()
