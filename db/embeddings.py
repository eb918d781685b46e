"""Queries over the vectors of products: which are missing, by ranges of ids, and bulk writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, exists, func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from db.catalog import ID_BYTES, id_ranges, take_change_lock
from db.tables import Product, ProductEmbedding, product_change_seq


@dataclass(frozen=True)
class MissingVectors:
    """Selects live products whose present picture has no vector of this embedder.

    Attributes:
        embedder_version: the embedder.
        since: older vectors count as missing; None: all vectors count.
    """

    embedder_version: str
    since: datetime | None = None


@dataclass(frozen=True)
class ProductPicture:
    """The blob key and the checksum of a product's picture."""

    product_id: str
    image_key: str
    image_sha256: str


@dataclass(frozen=True)
class NewVector:
    """A picture's vector: little-endian float16, unit length."""

    product_id: str
    image_sha256: str
    vector: bytes


def _is_missing(missing: MissingVectors) -> ColumnElement[bool]:
    embedded = exists().where(
        col(ProductEmbedding.product_id) == col(Product.id),
        col(ProductEmbedding.embedder_version) == missing.embedder_version,
        col(ProductEmbedding.image_sha256) == col(Product.image_sha256),
    )
    if missing.since is not None:
        embedded = embedded.where(col(ProductEmbedding.created_at) >= missing.since)
    return col(Product.deleted_at).is_(None) & ~embedded


async def count_missing(session: AsyncSession, missing: MissingVectors) -> int:
    """How many products are without a vector."""
    query = select(func.count()).select_from(Product).where(_is_missing(missing))
    count = 0
    async for ids in id_ranges(session):
        count += (await session.exec(query.where(ids.includes()))).one()
    return count


async def list_ranges(
    session: AsyncSession, missing: MissingVectors, size: int
) -> list[tuple[str, str]]:
    """First and last id of at most `size` products without a vector each, in order of id.

    No range goes beyond one of `id_ranges`. Otherwise it would include a large part of the
    catalogue where few products are without a vector.
    """
    query = select(col(Product.id)).where(_is_missing(missing)).order_by(ID_BYTES)
    ranges: list[tuple[str, str]] = []
    async for ids in id_ranges(session):
        names = list(await session.exec(query.where(ids.includes())))
        parts = (names[start : start + size] for start in range(0, len(names), size))
        ranges += [(part[0], part[-1]) for part in parts]
    return ranges


async def list_pictures(
    session: AsyncSession, missing: MissingVectors, first: str, last: str
) -> list[ProductPicture]:
    """Pictures without a vector, of products between two ids, both included."""
    query = (
        select(col(Product.id), col(Product.image_key), col(Product.image_sha256))
        .where(_is_missing(missing), first <= ID_BYTES, last >= ID_BYTES)
        .order_by(ID_BYTES)
    )
    return [ProductPicture(*row) for row in await session.exec(query)]


async def put_vectors(
    session: AsyncSession, embedder_version: str, vectors: Sequence[NewVector]
) -> int:
    """Writes the vectors of products that still show the picture; returns how many.

    Each is a change that indexes read, unless the same vector was stored already: then only its
    time is updated.
    """
    await take_change_lock(session)
    by_id = {vector.product_id: vector for vector in vectors}
    query = select(col(Product.id), col(Product.image_sha256)).where(
        col(Product.id).in_(by_id), col(Product.deleted_at).is_(None)
    )
    products = await session.exec(query.with_for_update())
    valid = [by_id[name] for name, sha256 in products if by_id[name].image_sha256 == sha256]
    if not valid:
        return 0
    stored = await session.exec(
        select(
            col(ProductEmbedding.product_id),
            col(ProductEmbedding.image_sha256),
            col(ProductEmbedding.vector),
        ).where(
            col(ProductEmbedding.product_id).in_([vector.product_id for vector in valid]),
            col(ProductEmbedding.embedder_version) == embedder_version,
        )
    )
    same = {NewVector(*row) for row in stored}
    await session.exec(
        update(Product)
        .where(col(Product.id).in_([vector.product_id for vector in valid if vector not in same]))
        .values(change_seq=product_change_seq.next_value())
    )
    statement = insert(ProductEmbedding).values(
        [{"embedder_version": embedder_version, **vars(vector)} for vector in valid]
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
    return len(valid)
