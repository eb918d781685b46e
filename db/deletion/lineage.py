"""Queries over masks, try-ons and heatmaps by the pictures that they were derived from.

A transaction that takes several locks takes them in this order, so that there are no deadlocks:

1. the lineage of an account (advisory, see below): exclusive to delete, shared to insert results;
2. `users`: FOR UPDATE to end it, KEY SHARE by every row that refers to it;
3. `job`: FOR UPDATE to delete or finish it, FOR SHARE by the guard of an attempt; then the rows
   that were made by it (`tryon_job`);
4. `files`: FOR UPDATE to delete, KEY SHARE to show it as a product;
5. the catalogue's change lock (`db.catalog`), then `product`.

An insertion takes KEY SHARE of its account by itself, so a transaction that inserts for an account
shares its lineage, or locks its row, before it locks a job. Two removals are outside of this order,
because they hold no other lock: products of an ended account, and its jobs.
"""

from collections.abc import Collection
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, or_
from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import (
    File,
    Job,
    Prediction,
    Product,
    ProductImage,
    SegmentationResult,
    TryonJob,
)

LINEAGE_LOCK = 0x6C_69_6E
"""First half of the advisory lock of one account's pictures; the account is the second."""


async def lock_lineage(session: AsyncSession, user_id: UUID) -> None:
    """Keeps others from inserting results of this account's pictures until the transaction ends."""
    half = func.hashtext(str(user_id))
    await session.exec(select(func.pg_advisory_xact_lock(LINEAGE_LOCK, half)))


async def share_lineage(session: AsyncSession, user_id: UUID) -> None:
    """Keeps others from deleting this account's pictures until the transaction ends."""
    half = func.hashtext(str(user_id))
    await session.exec(select(func.pg_advisory_xact_lock_shared(LINEAGE_LOCK, half)))


async def list_present(session: AsyncSession, keys: Collection[str]) -> set[str]:
    """The subset of the keys that have a row; live products stay live in this transaction."""
    live = select(Product.image_key).where(
        col(Product.image_key).in_(keys), col(Product.deleted_at).is_(None)
    )
    further = (
        select(ProductImage.image_key)
        .join(Product, col(Product.id) == col(ProductImage.product_id))
        .where(col(ProductImage.image_key).in_(keys))
    )
    queries = (
        select(File.blob_key).where(col(File.blob_key).in_(keys)),
        select(SegmentationResult.mask_key).where(col(SegmentationResult.mask_key).in_(keys)),
        select(TryonJob.output_key).where(col(TryonJob.output_key).in_(keys)),
        live.with_for_update(read=True),
        further.with_for_update(read=True),
    )
    present = set[str]()
    for query in queries:
        present.update(key for key in (await session.exec(query)).all() if key)
    return present


async def delete_segmentations(
    session: AsyncSession, *, inputs: Collection[str] = (), ids: Collection[UUID] = ()
) -> set[str]:
    """Deletes the rows of masks, by their pictures or by id. Returns the masks' keys."""
    those = or_(col(SegmentationResult.input_key).in_(inputs), col(SegmentationResult.id).in_(ids))
    statement = delete(SegmentationResult).where(those).returning(col(SegmentationResult.mask_key))
    return set((await session.exec(statement)).scalars().all())


class DeletedTryon(NamedTuple):
    """The parts of a deleted try-on's row that the removal still needs."""

    id: UUID
    user_id: UUID
    job_id: UUID | None
    output_key: str | None
    inputs: tuple[str, ...]


async def delete_tryons(
    session: AsyncSession, *, people: Collection[str] = (), ids: Collection[UUID] = ()
) -> list[DeletedTryon]:
    """Deletes try-ons by their persons' pictures or by id. Returns what else must be removed."""
    those = or_(col(TryonJob.person_key).in_(people), col(TryonJob.id).in_(ids))
    jobs = select(Job.id).where(col(Job.id).in_(select(TryonJob.job_id).where(those)))
    await session.exec(jobs.order_by(col(Job.id)).with_for_update())  # a finish locks it first, too
    rows = await session.exec(delete(TryonJob).where(those).returning(TryonJob))
    return [
        DeletedTryon(
            row.id, row.user_id, row.job_id, row.output_key,
            tuple(key for key in (row.person_key, row.garment_key, row.mask_key) if key),
        )
        for row in rows.scalars().all()
    ]  # fmt: skip


async def delete_predictions(
    session: AsyncSession, *, inputs: Collection[str] = (), ids: Collection[UUID] = ()
) -> set[str]:
    """Deletes scores, by their pictures or by id. Returns the keys of their heatmaps."""
    those = or_(col(Prediction.input_key).in_(inputs), col(Prediction.id).in_(ids))
    statement = delete(Prediction).where(those)
    keys = (await session.exec(statement.returning(col(Prediction.heatmap_key)))).scalars().all()
    return {key for key in keys if key}


async def clear_garments(session: AsyncSession, keys: Collection[str]) -> None:
    """Removes the keys of deleted pictures and masks from try-ons, which stay.

    Try-ons of a deleted picture of a person are deleted before; a product's picture can be the
    picture of a person as well, and its try-ons stay.
    """
    for column, value in (("garment_key", None), ("mask_key", None), ("person_key", "")):
        await session.exec(
            update(TryonJob).where(getattr(TryonJob, column).in_(keys)).values({column: value})
        )
