"""Queries that remove products from the catalogue; their emptied rows stay for the indexes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import case, func
from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from db.catalog import take_change_lock
from db.product_images import SHOWN, delete_images
from db.tables import Product, ProductEmbedding, product_change_seq

EMPTY: dict[str, Any] = {
    "title": "", "description": None, "category": "", "brand": None, "sku": None,
    "group_id": None, "url": None, "list_price": None, "attributes": {}, "file_id": None,
    "image_key": "", "image_url": None, "image_sha256": "",
}  # fmt: skip
"""The columns of a deleted product's row; its id, price and change number stay."""


async def empty_products(
    session: AsyncSession, rows: Sequence[tuple[str, str]], **values: Any
) -> set[str]:
    """Empties products and deletes their vectors and further pictures.

    The caller holds the change lock, and has locked the rows. Each live product gets a change
    number of its own. Returns the keys of the public copies.

    Args:
        rows: the id of each product and the key of its first picture.
        values: other columns to set.
    """
    ids = [product_id for product_id, _ in rows]
    keys = {key for _, key in rows} | await delete_images(session, ids)
    is_live = col(Product.deleted_at).is_(None)
    await session.exec(
        update(Product)
        .where(col(Product.id).in_(ids))
        .values(
            **EMPTY,
            **values,
            deleted_at=func.coalesce(col(Product.deleted_at), func.now()),
            change_seq=case((is_live, product_change_seq.next_value()), else_=Product.change_seq),
        )
        .execution_options(synchronize_session=False)
    )
    await session.exec(delete(ProductEmbedding).where(col(ProductEmbedding.product_id).in_(ids)))
    return {key for key in keys if key.startswith("products/")}


async def empty_some_products(
    session: AsyncSession, owner_id: UUID, *, limit: int
) -> tuple[int, set[str]]:
    """Empties some products of an account. Returns how many, and the keys of their pictures.

    Takes the change lock only if there are any.
    """
    owned = select(Product.id).where(Product.owner_id == owner_id).limit(1)
    if (await session.exec(owned)).first() is None:
        return 0, set()
    await take_change_lock(session)
    query = select(Product.id, Product.image_key).where(Product.owner_id == owner_id)
    rows = (await session.exec(query.limit(limit).with_for_update())).all()
    return len(rows), await empty_products(session, rows, owner_id=None)


async def list_products_of_file(session: AsyncSession, file_id: UUID) -> list[Product]:
    """Live products that show this file, locked until the transaction ends."""
    ids = select(SHOWN.c.product_id).where(SHOWN.c.file_id == file_id)
    query = select(Product).where(col(Product.id).in_(ids)).with_for_update()
    return list((await session.exec(query)).all())


async def delete_forgotten_products(
    session: AsyncSession, *, before: datetime, up_to_seq: int, limit: int
) -> int:
    """Deletes rows of products that were removed before a time, and that no index still needs.

    Returns how many.
    """
    old = (
        select(Product.id)
        .where(col(Product.deleted_at) < before, col(Product.change_seq) <= up_to_seq)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    result = await session.exec(delete(Product).where(col(Product.id).in_(old)))
    return int(result.rowcount)
