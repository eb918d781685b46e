"""Queries over what was made of what: masks, try-ons and heatmaps by the pictures in them.

Whoever takes several locks takes them in one order, so that nobody waits in a circle:

1. the lineage of an account (here, advisory): exclusive to delete, shared to record;
2. `users`: FOR UPDATE to end it, KEY SHARE by every row that refers to it;
3. `job`: FOR UPDATE to delete or finish it, FOR SHARE by the guard of an attempt; then the rows
   that were made by it (`tryon_job`);
4. `files`: FOR UPDATE to delete, KEY SHARE to show it as a product;
5. the catalogue's change lock (`db.catalog`), then `product`.

An insertion takes KEY SHARE of its account by itself, so a transaction that inserts for an account
shares its lineage, or holds its row, before it locks a job. Two removals stand outside of the
order, because they hold nothing else: products of an ended account, and its jobs.
"""

from collections.abc import Collection
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, or_
from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import File, Job, Prediction, Product, SegmentationResult, TryonJob

LINEAGE_LOCK = 0x6C_69_6E
"""First half of the advisory lock of one account's pictures; the account is the second."""


async def lock_lineage(session: AsyncSession, user_id: UUID) -> None:
    """Until the transaction ends nobody records anything as made of this account's pictures."""
    half = func.hashtext(str(user_id))
    await session.exec(select(func.pg_advisory_xact_lock(LINEAGE_LOCK, half)))


async def share_lineage(session: AsyncSession, user_id: UUID) -> None:
    """Until the transaction ends nobody deletes pictures of this account."""
    half = func.hashtext(str(user_id))
    await session.exec(select(func.pg_advisory_xact_lock_shared(LINEAGE_LOCK, half)))


async def find_present(session: AsyncSession, keys: Collection[str]) -> set[str]:
    """Of these blobs those that a row stands for; live products among them stay so until the end
    of the transaction.
    """
    live = select(Product.image_key).where(
        col(Product.image_key).in_(keys), col(Product.deleted_at).is_(None)
    )
    queries = (
        select(File.blob_key).where(col(File.blob_key).in_(keys)),
        select(SegmentationResult.mask_key).where(col(SegmentationResult.mask_key).in_(keys)),
        select(TryonJob.output_key).where(col(TryonJob.output_key).in_(keys)),
        live.with_for_update(read=True),
    )
    present = set[str]()
    for query in queries:
        present.update(key for key in (await session.exec(query)).all() if key)
    return present


async def delete_segmentations(
    session: AsyncSession, *, inputs: Collection[str] = (), ids: Collection[UUID] = ()
) -> set[str]:
    """Removes the rows of masks, by their pictures or by id; the masks' keys."""
    those = or_(col(SegmentationResult.input_key).in_(inputs), col(SegmentationResult.id).in_(ids))
    statement = delete(SegmentationResult).where(those).returning(col(SegmentationResult.mask_key))
    return set((await session.exec(statement)).scalars().all())


class DeletedTryon(NamedTuple):
    """What a deleted try-on leaves to be removed."""

    id: UUID
    user_id: UUID
    job_id: UUID | None
    output_key: str | None
    inputs: tuple[str, ...]


async def delete_tryons(
    session: AsyncSession, *, people: Collection[str] = (), ids: Collection[UUID] = ()
) -> list[DeletedTryon]:
    """Removes try-ons, by the pictures of the people they show or by id."""
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
    """Removes scores, by their pictures or by id; the keys of their heatmaps."""
    those = or_(col(Prediction.input_key).in_(inputs), col(Prediction.id).in_(ids))
    statement = delete(Prediction).where(those)
    keys = (await session.exec(statement.returning(col(Prediction.heatmap_key)))).scalars().all()
    return {key for key in keys if key}


async def forget_garments(session: AsyncSession, keys: Collection[str]) -> None:
    """Try-ons keep what they show of pictures and masks that are deleted, and name them no more.

    A person's own picture takes its try-ons along before; a product's is not one.
    """
    for column, value in (("garment_key", None), ("mask_key", None), ("person_key", "")):
        await session.exec(
            update(TryonJob).where(getattr(TryonJob, column).in_(keys)).values({column: value})
        )
