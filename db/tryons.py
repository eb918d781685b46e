"""Queries over try-ons; a trigger keeps the state of a queued one equal to its job's."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import TryonJob


async def insert_tryon(session: AsyncSession, row: TryonJob) -> bool:
    """Inserts a try-on and returns True; returns False where a row with its id (of a job's earlier
    attempt) or with its owner's idempotency key exists.
    """
    values = row.model_dump(exclude_none=True)
    statement = insert(TryonJob).values(values).on_conflict_do_nothing()
    return bool((await session.exec(statement)).rowcount)


async def update_tryon(session: AsyncSession, tryon_id: UUID, **values: Any) -> None:
    """Updates columns of a try-on."""
    await session.exec(update(TryonJob).where(col(TryonJob.id) == tryon_id).values(**values))


async def add_stored(session: AsyncSession, tryon_id: UUID, size_bytes: int) -> None:
    """Adds the size of a blob to the try-on's stored bytes."""
    stored = func.coalesce(TryonJob.stored_bytes, 0)
    await update_tryon(session, tryon_id, stored_bytes=stored + size_bytes)


async def get_tryon(session: AsyncSession, tryon_id: UUID) -> TryonJob | None:
    """A try-on of any user."""
    return await session.get(TryonJob, tryon_id)


async def get_own_tryon(session: AsyncSession, tryon_id: UUID, user_id: UUID) -> TryonJob | None:
    """A try-on of this user."""
    query = select(TryonJob).where(TryonJob.id == tryon_id, TryonJob.user_id == user_id)
    return (await session.exec(query)).one_or_none()


async def list_tryons(
    session: AsyncSession, user_id: UUID, *, limit: int, after: tuple[datetime, UUID] | None
) -> list[TryonJob]:
    """A page of the user's try-ons, newest first."""
    query = select(TryonJob).where(TryonJob.user_id == user_id)
    if after is not None:
        query = query.where(tuple_(col(TryonJob.created_at), col(TryonJob.id)) < after)
    query = query.order_by(col(TryonJob.created_at).desc(), col(TryonJob.id).desc()).limit(limit)
    return list((await session.exec(query)).all())


async def is_own_output(session: AsyncSession, user_id: UUID, key: str) -> bool:
    """Whether the blob is the picture of one of this user's try-ons."""
    output = select(TryonJob.id).where(TryonJob.output_key == key, TryonJob.user_id == user_id)
    return (await session.exec(output.limit(1))).first() is not None
