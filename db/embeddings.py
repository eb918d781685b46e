"""Queries over the vectors of products: which are missing, in ranges of ids, and writing many."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, exists, func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from db.catalog import take_change_lock
from db.tables import Product, ProductEmbedding, product_change_seq


@dataclass(frozen=True)
class Unseen:
    """Which vectors are wanted.

    Attributes:
        embedder_version: by which embedder.
        since: vectors that were made before don't count; None: all count.
    """

    embedder_version: str
    since: datetime | None = None


@dataclass(frozen=True)
class StoredPicture:
    """Where a product's picture is, and which one it is."""

    product_id: str
    image_key: str
    image_sha256: str


@dataclass(frozen=True)
class NewVector:
    """What one picture became: little-endian float16, unit length."""

    product_id: str
    image_sha256: str
    vector: bytes


def _is_unseen(unseen: Unseen) -> ColumnElement[bool]:
    """Live products whose present picture has no such vector."""
    seen = exists().where(
        col(ProductEmbedding.product_id) == col(Product.id),
        col(ProductEmbedding.embedder_version) == unseen.embedder_version,
        col(ProductEmbedding.image_sha256) == col(Product.image_sha256),
    )
    if unseen.since is not None:
        seen = seen.where(col(ProductEmbedding.created_at) >= unseen.since)
    return col(Product.deleted_at).is_(None) & ~seen


async def count_unseen(session: AsyncSession, unseen: Unseen) -> int:
    """How many products there are to do."""
    query = select(func.count()).select_from(Product).where(_is_unseen(unseen))
    return (await session.exec(query)).one()


async def list_ranges(session: AsyncSession, unseen: Unseen, size: int) -> list[tuple[str, str]]:
    """First and last id of every `size` products to do, in order: two ids a batch in memory."""
    place = (func.row_number().over(order_by=col(Product.id)) - 1) // size
    numbered = select(col(Product.id), place.label("batch")).where(_is_unseen(unseen)).subquery()
    query = (
        select(func.min(numbered.c.id), func.max(numbered.c.id))
        .group_by(numbered.c.batch)
        .order_by(numbered.c.batch)
    )
    return [(first, last) for first, last in await session.exec(query)]


async def list_pictures(
    session: AsyncSession, unseen: Unseen, first: str, last: str
) -> list[StoredPicture]:
    """What is still to do between two ids, both included."""
    query = (
        select(col(Product.id), col(Product.image_key), col(Product.image_sha256))
        .where(_is_unseen(unseen), col(Product.id).between(first, last))
        .order_by(col(Product.id))
    )
    return [StoredPicture(*row) for row in await session.exec(query)]


async def put_vectors(
    session: AsyncSession, embedder_version: str, vectors: Sequence[NewVector]
) -> int:
    """Keeps those whose products still show the picture; returns how many.

    Each is a change that indexes read, unless the same vector was there: then only its time is new.
    """
    await take_change_lock(session)
    by_id = {vector.product_id: vector for vector in vectors}
    query = select(col(Product.id), col(Product.image_sha256)).where(
        col(Product.id).in_(by_id), col(Product.deleted_at).is_(None)
    )
    shown = await session.exec(query.with_for_update())
    kept = [by_id[name] for name, sha256 in shown if by_id[name].image_sha256 == sha256]
    if not kept:
        return 0
    there = await session.exec(
        select(
            col(ProductEmbedding.product_id),
            col(ProductEmbedding.image_sha256),
            col(ProductEmbedding.vector),
        ).where(
            col(ProductEmbedding.product_id).in_([vector.product_id for vector in kept]),
            col(ProductEmbedding.embedder_version) == embedder_version,
        )
    )
    same = {NewVector(*row) for row in there}
    await session.exec(
        update(Product)
        .where(col(Product.id).in_([one.product_id for one in kept if one not in same]))
        .values(change_seq=product_change_seq.next_value())
    )
    statement = insert(ProductEmbedding).values(
        [{"embedder_version": embedder_version, **vars(vector)} for vector in kept]
    )
    await session.exec(
        statement.on_conflict_do_update(
            index_elements=["product_id", "embedder_version"],
            set_={
                "vector": statement.excluded.vector,
                "image_sha256": statement.excluded.image_sha256,
                "created_at": func.now(),
            },
        )
    )
    return len(kept)
