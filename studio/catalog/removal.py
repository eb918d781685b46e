"""Pictures of products that are replaced or deleted: their public copies.

What others have made of such a picture stays theirs: a product's picture is nobody's selfie.
"""

from datetime import UTC, datetime, timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from db.deletion.erasures import doom_blobs, insert_erasure
from db.deletion.lineage import clear_garments
from db.deletion.product_removal import empty_products
from db.tables import Product

READABLE = timedelta(minutes=20)
"""Answers of searches that name the copy may be this old; their URLs hold as long."""


async def retire_copy(session: AsyncSession, former_key: str | None, key: str) -> None:
    """After a PUT: the copy that the product no longer shows goes, once no answer names it."""
    if former_key and former_key != key and former_key.startswith("products/"):
        await doom_blobs(session, [former_key], due_at=datetime.now(UTC) + READABLE)
        await clear_garments(session, [former_key])


async def empty_product(session: AsyncSession, product: Product) -> None:
    """Takes a live product out of catalogue and search.

    The row is locked by the caller, who also holds the lock of changes; try-ons that wear the
    product stay, without a link to its picture.
    """
    key = product.image_key
    await empty_products(session, [product.id])
    if key.startswith("products/"):
        await doom_blobs(session, [key])
        await clear_garments(session, [key])
    insert_erasure(session, "product", product.id)
