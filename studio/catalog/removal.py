"""Removal of products and of the public copies of their former pictures.

Masks and try-ons that other accounts made from such a picture stay, because a product's picture is
not a private photo.
"""

from datetime import UTC, datetime, timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from db.deletion.erasures import doom_blobs, insert_erasure
from db.deletion.lineage import clear_garments
from db.deletion.product_removal import empty_products
from db.tables import Product

READABLE = timedelta(minutes=20)
"""How long a copy must stay readable: search answers with its URL may be this old."""


async def retire_copy(session: AsyncSession, former_key: str | None, key: str) -> None:
    """After a PUT: schedules the removal of the copy that the product no longer shows."""
    if former_key and former_key != key and former_key.startswith("products/"):
        await doom_blobs(session, [former_key], due_at=datetime.now(UTC) + READABLE)
        await clear_garments(session, [former_key])


async def empty_product(session: AsyncSession, product: Product) -> None:
    """Removes a live product from catalogue and search.

    The caller has locked the row and holds the lock of changes. Try-ons with the product stay,
    without a link to its picture.
    """
    key = product.image_key
    await empty_products(session, [product.id])
    if key.startswith("products/"):
        await doom_blobs(session, [key])
        await clear_garments(session, [key])
    insert_erasure(session, "product", product.id)
