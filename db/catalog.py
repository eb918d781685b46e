"""Queries over products and their vectors; every change takes the next change number."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, collate, func, text, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import File, Product, ProductEmbedding, product_change_seq

RANGE_PRODUCTS = 2048
"""Products of a key range: a statement that reads one takes milliseconds in any catalogue."""
ID_BYTES = collate(col(Product.id), "C")
"""The order of the bytes of ids, in which index files store products; `ix_product_id_bytes`."""
CHANGE_LOCK = 0x73_74_75_64_69_6F
"""Advisory lock held from taking a change number to the commit, so that commits are in order of
the numbers.
"""


async def take_change_lock(session: AsyncSession) -> None:
    """Waits for other changes to commit; needed before taking change numbers."""
    await session.exec(select(func.pg_advisory_xact_lock(CHANGE_LOCK)))


async def take_change_seq(session: AsyncSession) -> int:
    """The next change number. A reader that sees a change also sees all with smaller numbers."""
    await take_change_lock(session)
    return int((await session.exec(select(product_change_seq.next_value()))).one())


async def get_product(
    session: AsyncSession, product_id: str, *, deleted: bool = False, lock: bool = False
) -> Product | None:
    """A live product; with `deleted`, also one that was deleted."""
    product = await session.get(Product, product_id, with_for_update=lock or None)
    return None if product is None or (product.deleted_at and not deleted) else product


async def hold_file(session: AsyncSession, file_id: UUID) -> File | None:
    """A file of any account, locked against deletion until the transaction ends."""
    return await session.get(File, file_id, with_for_update={"read": True, "key_share": True})


def live_columns(created_at: datetime | None) -> dict[str, Any]:
    """The times of a live row that is written now; `created_at` is None for a new product."""
    return {"created_at": created_at or func.now(), "updated_at": func.now(), "deleted_at": None}


async def upsert_product(session: AsyncSession, product_id: str, values: dict[str, Any]) -> Product:
    """Inserts or replaces a row; `values` by column, without the id."""
    statement = insert(Product).values(id=product_id, **values)
    statement = statement.on_conflict_do_update(index_elements=["id"], set_=values)
    rows = await session.exec(
        statement.returning(Product), execution_options={"populate_existing": True}
    )
    product: Product = rows.scalar_one()
    return product


async def update_product(session: AsyncSession, product_id: str, values: dict[str, Any]) -> Product:
    """Writes some columns of a row that is there; `values` by column."""
    statement = update(Product).where(col(Product.id) == product_id).values(values)
    rows = await session.exec(
        statement.returning(Product), execution_options={"populate_existing": True}
    )
    product: Product = rows.scalar_one()
    return product


async def get_products(session: AsyncSession, ids: Sequence[str]) -> dict[str, Product]:
    """Live products by id; absent ones are left out."""
    query = select(Product).where(col(Product.id).in_(ids), col(Product.deleted_at).is_(None))
    return {product.id: product for product in await session.exec(query)}


async def list_products(
    session: AsyncSession, *, limit: int, after: tuple[datetime, str] | None
) -> list[Product]:
    """Live products, newest first."""
    query = (
        select(Product)
        .where(col(Product.deleted_at).is_(None))
        .order_by(col(Product.created_at).desc(), col(Product.id).desc())
    )
    if after is not None:
        query = query.where(tuple_(col(Product.created_at), col(Product.id)) < after)
    return list((await session.exec(query.limit(limit))).all())


async def get_embedding(
    session: AsyncSession, product_id: str, embedder_version: str
) -> ProductEmbedding | None:
    """A product's vector by one embedder."""
    return await session.get(ProductEmbedding, (product_id, embedder_version))


async def get_embeddings(
    session: AsyncSession, ids: Sequence[str], embedder_version: str
) -> dict[str, bytes]:
    """Vectors of the present pictures of those products that are live, by id."""
    query = (
        select(Product.id, ProductEmbedding.vector)
        .join(ProductEmbedding, col(ProductEmbedding.product_id) == col(Product.id))
        .where(
            col(Product.id).in_(ids),
            col(Product.deleted_at).is_(None),
            col(ProductEmbedding.embedder_version) == embedder_version,
            col(ProductEmbedding.image_sha256) == col(Product.image_sha256),
        )
    )
    rows = await session.exec(query)
    return {str(product_id): bytes(vector) for product_id, vector in rows}


async def put_embedding(session: AsyncSession, embedding: ProductEmbedding) -> None:
    """Inserts or replaces the vector of (product, embedder)."""
    values = {
        "product_id": embedding.product_id,
        "embedder_version": embedding.embedder_version,
        "vector": embedding.vector,
        "image_sha256": embedding.image_sha256,
    }
    statement = insert(ProductEmbedding).values(values)
    await session.exec(
        statement.on_conflict_do_update(
            index_elements=["product_id", "embedder_version"],
            set_=values | {"created_at": func.now()},
        )
    )


class Change(NamedTuple):
    """The fields of a product that an index reads; `vector` is None where there is none yet."""

    id: str
    change_seq: int
    deleted_at: datetime | None
    created_at: datetime
    title: str
    description: str | None
    category: str
    brand: str | None
    sku: str | None
    group_id: str | None
    price: Decimal
    currency: str
    in_stock: bool
    attributes: dict[str, Any]
    vector: bytes | None


async def list_changes(
    session: AsyncSession, embedder_version: str, *, after_seq: int, limit: int
) -> list[Change]:
    """Changed products in order of change, including deleted ones.

    An index reads them on the event loop that answers its searches. So they are plain rows, which
    take half the time of ORM objects.
    """
    query = (
        select(*(col(getattr(Product, name)) for name in Change._fields[:-1]))
        .add_columns(col(ProductEmbedding.vector))
        .outerjoin(
            ProductEmbedding,
            (col(ProductEmbedding.product_id) == col(Product.id))
            & (col(ProductEmbedding.embedder_version) == embedder_version)
            & (col(ProductEmbedding.image_sha256) == col(Product.image_sha256)),
        )
        .where(col(Product.change_seq) > after_seq)
        .order_by(col(Product.change_seq))
        .limit(limit)
    )
    rows = await session.exec(query)  # type: ignore[call-overload]
    return [Change(*row) for row in rows]


async def read_one_moment(session: AsyncSession) -> None:
    """Makes all queries of the transaction read one snapshot; call it before the first query."""
    await session.exec(  # type: ignore[call-overload]
        text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    )


@dataclass(frozen=True)
class IdRange:
    """The products whose ids are after `after` and not after `last`, by the bytes of the ids."""

    after: str
    last: str

    def includes(self) -> ColumnElement[bool]:
        """The condition on products."""
        return (self.after < ID_BYTES) & (self.last >= ID_BYTES)


async def id_ranges(session: AsyncSession) -> AsyncIterator[IdRange]:
    """Divides the catalogue, deleted products included, into ranges of at most `RANGE_PRODUCTS`.

    So reading all of it takes many short statements, where one would reach its time limit.
    """
    after = ""
    while True:
        ids = select(col(Product.id)).where(after < ID_BYTES).order_by(ID_BYTES)
        ids_of_range = ids.limit(RANGE_PRODUCTS).subquery()
        query = select(func.max(collate(ids_of_range.c.id, "C")))
        last = (await session.exec(query)).one()
        if last is None:
            return
        yield IdRange(after, last)
        after = last


async def stream_embedded(
    session: AsyncSession, embedder_version: str
) -> AsyncIterator[tuple[Product, bytes]]:
    """Every live product that has a vector, in order of the bytes of its id, range by range."""
    query = (
        select(Product, ProductEmbedding.vector)
        .join(
            ProductEmbedding,
            (col(ProductEmbedding.product_id) == col(Product.id))
            & (col(ProductEmbedding.embedder_version) == embedder_version)
            & (col(ProductEmbedding.image_sha256) == col(Product.image_sha256)),
        )
        .where(col(Product.deleted_at).is_(None))
        .order_by(ID_BYTES)
    )
    async for ids in id_ranges(session):
        for product, vector in await session.exec(query.where(ids.includes())):
            yield product, vector


async def newest_change_seq(session: AsyncSession) -> int:
    """The number of the newest committed change, 0 in an empty catalogue."""
    return (await session.exec(select(func.max(col(Product.change_seq))))).one() or 0


async def last_change_seq(session: AsyncSession) -> int:
    """The last change number that was taken, committed or not.

    It never decreases, unless the database is restored to an earlier state.
    """
    query = text("SELECT last_value FROM product_change_seq")
    result = await session.exec(query)  # type: ignore[call-overload]
    return int(result.scalar_one())
