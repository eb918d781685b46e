"""Pictures of products that are replaced or deleted: their public copies, and what shows them."""

from datetime import UTC, datetime, timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from db.erasures import insert_erasure
from db.product_removal import empty_products
from db.tables import Product
from studio.lineage import delete_made_of

READABLE = timedelta(minutes=20)
"""Answers of searches that name the copy may be this old; their URLs hold as long."""


async def retire_copy(session: AsyncSession, former_key: str | None, key: str) -> None:
    """After a PUT: the copy that the product no longer shows goes, once no answer names it."""
    if former_key and former_key != key and former_key.startswith("products/"):
        await delete_made_of(session, [former_key], due_at=datetime.now(UTC) + READABLE)


async def empty_product(session: AsyncSession, product: Product) -> None:
    """Takes a live product out of catalogue, search and other people's histories.

    The row is locked by the caller, who also holds the lock of changes; try-ons that wear the
    product stay.
    """
    key = product.image_key
    await empty_products(session, [product.id])
    if key.startswith("products/"):
        await delete_made_of(session, [key])
    insert_erasure(session, "product", product.id)
