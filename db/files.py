"""Queries over uploads; those for an owner never return another account's file."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, tuple_
from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from db.product_images import SHOWN
from db.tables import File, Prediction, Product, SegmentationResult, TryonJob

DISK_BLOCK_BYTES = 4096
"""The space on the disk that a file takes at least."""


async def insert_file(session: AsyncSession, file: File) -> File:
    """Inserts a pending upload."""
    session.add(file)
    await session.flush()
    await session.refresh(file)
    return file


async def get_own_file(
    session: AsyncSession, file_id: UUID, owner_id: UUID, *, lock: bool = False
) -> File | None:
    """Reads one file of this owner; `lock` locks the row until the end of the transaction."""
    query = select(File).where(File.id == file_id, File.owner_id == owner_id)
    if lock:
        query = query.with_for_update()
    return (await session.exec(query)).one_or_none()


async def get_file(session: AsyncSession, file_id: UUID) -> File | None:
    """Reads anyone's file; the caller checks who may use it."""
    return await session.get(File, file_id)


async def get_file_by_key(session: AsyncSession, blob_key: str) -> File | None:
    """Reads anyone's file by its blob; the caller checks who may use it."""
    return (await session.exec(select(File).where(File.blob_key == blob_key))).one_or_none()


async def list_files(
    session: AsyncSession, owner_id: UUID, *, limit: int, after: tuple[datetime, UUID] | None
) -> list[File]:
    """Reads the owner's files, newest first."""
    query = select(File).where(File.owner_id == owner_id)
    if after is not None:
        query = query.where(tuple_(col(File.created_at), col(File.id)) < after)
    query = query.order_by(col(File.created_at).desc(), col(File.id).desc()).limit(limit)
    return list((await session.exec(query)).all())


async def lock_unfinished(
    session: AsyncSession, *, before: datetime, limit: int, without: Collection[UUID] = ()
) -> list[File]:
    """Locks uploads from before a moment that never became ready, oldest first.

    Those in `without`, and those that another transaction has locked, are left out.
    """
    query = (
        select(File)
        .where(File.status != "ready", col(File.created_at) < before)
        .where(col(File.id).not_in(without))
        .order_by(col(File.created_at))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return list((await session.exec(query)).all())


@dataclass(frozen=True)
class Storage:
    """The storage of one account: bytes on the disk, and numbers of uploads that are not ready."""

    stored_bytes: int
    pending: int
    failed: int


async def lock_storage(session: AsyncSession, owner_id: UUID) -> Storage:
    """Reads the account's storage; other calls for it wait until the transaction ends."""
    lock = func.pg_advisory_xact_lock(func.hashtextextended(f"storage {owner_id}", 0))
    await session.exec(select(lock))
    on_disk = func.greatest(File.size_bytes, DISK_BLOCK_BYTES)
    query = select(
        func.coalesce(func.sum(on_disk).filter(col(File.status) != "failed"), 0),
        func.count().filter(col(File.status) == "pending"),
        func.count().filter(col(File.status) == "failed"),
    ).where(File.owner_id == owner_id)
    stored_bytes, pending, failed = (await session.exec(query)).one()
    results_bytes = await _sum_results(session, owner_id)
    return Storage(int(stored_bytes) + results_bytes, pending, failed)


async def sum_stored(session: AsyncSession, owner_id: UUID) -> int:
    """Sums the bytes of the account's uploads and of the results that were made for it."""
    on_disk = func.greatest(File.size_bytes, DISK_BLOCK_BYTES)
    query = select(func.coalesce(func.sum(on_disk), 0)).where(
        File.owner_id == owner_id, File.status != "failed"
    )
    return int((await session.exec(query)).one()) + await _sum_results(session, owner_id)


async def _sum_results(session: AsyncSession, owner_id: UUID) -> int:
    """Sums masks, try-ons with the copies that were fetched for them, and heatmaps."""
    sums = [
        select(func.coalesce(func.sum(func.greatest(table.stored_bytes, DISK_BLOCK_BYTES)), 0))
        .where(table.user_id == owner_id, col(table.stored_bytes).is_not(None))
        .scalar_subquery()
        for table in (SegmentationResult, TryonJob, Prediction)
    ]
    return int((await session.exec(select(sums[0] + sums[1] + sums[2]))).one())


async def delete_old_failures(session: AsyncSession, owner_id: UUID, *, keep: int) -> None:
    """Deletes the account's failed uploads except the newest; their blobs are deleted already."""
    old = (
        select(File.id)
        .where(File.owner_id == owner_id, File.status == "failed")
        .order_by(col(File.created_at).desc())
        .offset(keep)
    )
    await session.exec(delete(File).where(col(File.id).in_(old)))


async def lease_check(session: AsyncSession, file_id: UUID, *, lease_s: float) -> bool:
    """Takes the lease to check a pending upload; False while another Gateway has it."""
    free = col(File.check_ends_at).is_(None) | (col(File.check_ends_at) < func.now())
    lease = (
        update(File)
        .where(col(File.id) == file_id, col(File.status) == "pending", free)
        .values(check_ends_at=func.now() + timedelta(seconds=lease_s))
    )
    return bool((await session.exec(lease)).rowcount)


async def end_check(session: AsyncSession, file_id: UUID) -> None:
    """Releases the lease."""
    await session.exec(update(File).where(col(File.id) == file_id).values(check_ends_at=None))


async def is_on_sale(session: AsyncSession, *, file_id: UUID | None, blob_key: str) -> bool:
    """Whether a live product shows this picture."""
    shows = SHOWN.c.image_key == blob_key
    if file_id is not None:
        shows = shows | (SHOWN.c.file_id == file_id)
    return (
        await session.exec(select(SHOWN.c.product_id).where(shows).limit(1))
    ).first() is not None


async def get_public_key(session: AsyncSession, *, file_id: UUID, blob_key: str) -> str | None:
    """The key of the public copy of an upload that a live product shows."""
    shows = (SHOWN.c.file_id == file_id) | (SHOWN.c.image_key == blob_key)
    query = select(SHOWN.c.image_key).where(shows)
    query = query.order_by(SHOWN.c.product_id, SHOWN.c.position).limit(1)
    key: str | None = (await session.exec(query)).first()
    return key


async def delete_file(session: AsyncSession, file_id: UUID) -> None:
    """Deletes the row, after removing the references of deleted products to it."""
    gone = col(Product.deleted_at).is_not(None)
    await session.exec(
        update(Product).where(col(Product.file_id) == file_id, gone).values(file_id=None)
    )
    await session.exec(delete(File).where(col(File.id) == file_id))
