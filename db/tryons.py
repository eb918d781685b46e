"""Queries over try-ons; a queued one's state is its job's, which the database keeps equal."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import SegmentationResult, TryonJob


async def insert_tryon(session: AsyncSession, row: TryonJob) -> bool:
    """A try-on; where its id (a job's second attempt) or its owner's idempotency key is there
    already, nothing happens. Whether it was inserted.
    """
    values = row.model_dump(exclude_none=True)
    statement = insert(TryonJob).values(values).on_conflict_do_nothing()
    return bool((await session.exec(statement)).rowcount)


async def update_tryon(session: AsyncSession, tryon_id: UUID, **values: Any) -> None:
    """Writes what is known of a try-on now."""
    await session.exec(update(TryonJob).where(col(TryonJob.id) == tryon_id).values(**values))


async def add_stored(session: AsyncSession, tryon_id: UUID, size_bytes: int) -> None:
    """Counts a blob more among what the try-on takes."""
    so_far = func.coalesce(TryonJob.stored_bytes, 0)
    await update_tryon(session, tryon_id, stored_bytes=so_far + size_bytes)


async def get_tryon(session: AsyncSession, tryon_id: UUID) -> TryonJob | None:
    """Anyone's try-on."""
    return await session.get(TryonJob, tryon_id)


async def get_own_tryon(session: AsyncSession, tryon_id: UUID, user_id: UUID) -> TryonJob | None:
    """One try-on of this user."""
    query = select(TryonJob).where(TryonJob.id == tryon_id, TryonJob.user_id == user_id)
    return (await session.exec(query)).one_or_none()


async def list_tryons(
    session: AsyncSession, user_id: UUID, *, limit: int, after: tuple[datetime, UUID] | None
) -> list[TryonJob]:
    """Newest first."""
    query = select(TryonJob).where(TryonJob.user_id == user_id)
    if after is not None:
        query = query.where(tuple_(col(TryonJob.created_at), col(TryonJob.id)) < after)
    query = query.order_by(col(TryonJob.created_at).desc(), col(TryonJob.id).desc()).limit(limit)
    return list((await session.exec(query)).all())


async def made_for(session: AsyncSession, user_id: UUID, key: str) -> bool:
    """Whether this blob is a mask or a try-on that was made for this user."""
    mask = select(SegmentationResult.id).where(
        SegmentationResult.mask_key == key, SegmentationResult.user_id == user_id
    )
    if (await session.exec(mask.limit(1))).first() is not None:
        return True
    output = select(TryonJob.id).where(TryonJob.output_key == key, TryonJob.user_id == user_id)
    return (await session.exec(output.limit(1))).first() is not None
