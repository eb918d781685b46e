"""Removal of products and of the public copies of their former pictures.

Masks and try-ons that other accounts made from such a picture stay, because a product's picture is
not a private photo.
"""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from db.deletion.erasures import doom_blobs, insert_erasure
from db.deletion.lineage import clear_garments
from db.deletion.product_removal import empty_products
from db.tables import Product

READABLE = timedelta(minutes=20)
"""How long a copy must stay readable: search answers with its URL may be this old."""


async def retire_copies(
    session: AsyncSession, former_keys: Collection[str], keys: Collection[str]
) -> None:
    """After a write: schedules the removal of the copies that the product no longer shows."""
    gone = {key for key in former_keys if key.startswith("products/")}.difference(keys)
    await doom_blobs(session, gone, due_at=datetime.now(UTC) + READABLE)
    await clear_garments(session, gone)


async def empty_product(session: AsyncSession, product: Product) -> set[str]:
    """Removes a live product from catalogue and search. Returns the keys of its public copies.

    The caller has locked the row and holds the lock of changes. Try-ons with the product stay,
    without a link to its pictures.
    """
    keys = await empty_products(session, [(product.id, product.image_key)])
    await doom_blobs(session, keys)
    await clear_garments(session, keys)
    insert_erasure(session, "product", product.id)
    return keys
