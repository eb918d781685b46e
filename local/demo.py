"""The demo: three accounts, a catalog of drawn products, and an index over it."""

import asyncio
import hashlib
import io
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from db.catalog import get_product, take_change_seq, upsert_product
from db.index_versions import get_active_version
from db.users import get_user_by_email, insert_user
from drawing.demo_shop import DemoProduct, demo_products
from drawing.draw import Garment, draw_garment
from local.ready_message import DEMO_ACCOUNTS
from models.index.files import is_readable
from models.progress import Progress
from studio.accounts.passwords import hash_unchecked
from studio.index.build import build_version
from studio.index.embed import embed_missing
from studio.index.versions import activate_version
from studio.ports import Studio

SIDE_PX = 320
CHUNK = 24


async def seed(studio: Studio, count: Progress) -> None:
    """Makes the parts of the demo that are missing; a second call changes nothing.

    Products that were changed or deleted stay as they are.
    """
    merchant_id = await _make_accounts(studio)
    products = demo_products(studio.settings.demo_products)
    missing = await _missing(studio, products)
    await _draw(studio, merchant_id, missing, count)
    await ensure_index(studio, count)


async def ensure_index(studio: Studio, count: Progress) -> None:
    """Makes sure that the active index is readable and belongs to the current embedder."""
    version = await studio.embedder.version()
    async with studio.database.transaction() as session:
        active = await get_active_version(session)

    async def report(done: int, total: int, message: str, **_: object) -> None:
        count(done, total, message)

    await embed_missing(studio, report)
    is_ours = active is not None and active.embedder_version == version
    if active is None or not is_ours or not is_readable(active.manifest):
        await activate_version(studio, await build_version(studio))


async def _make_accounts(studio: Studio) -> UUID:
    """Makes the demo accounts that are missing; returns the merchant's id."""
    password = studio.settings.demo_password.get_secret_value()
    ids: dict[str, UUID] = {}
    for email, role, name in DEMO_ACCOUNTS:
        async with studio.database.transaction() as session:
            user = await get_user_by_email(session, email) or await insert_user(
                session,
                email=email,
                password_hash=await hash_unchecked(password),
                name=name,
                role=role,
            )
            ids[role] = user.id
    return ids["merchant"]


async def _missing(studio: Studio, products: list[DemoProduct]) -> list[DemoProduct]:
    async with studio.database.transaction() as session:
        return [
            product
            for product in products
            if await get_product(session, product.id, deleted=True) is None
        ]


async def _draw(
    studio: Studio, merchant_id: UUID, products: list[DemoProduct], count: Progress
) -> None:
    """Draws the pictures in one process per core, and inserts the products chunk by chunk."""
    if not products:
        return
    loop = asyncio.get_running_loop()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count() or 1, mp_context=context) as pool:
        for start in range(0, len(products), CHUNK):
            chunk = products[start : start + CHUNK]
            drawings = (
                loop.run_in_executor(pool, _draw_jpeg, product.garment) for product in chunk
            )
            pictures = await asyncio.gather(*drawings)
            async with studio.database.transaction() as session:
                for product, picture in zip(chunk, pictures, strict=True):
                    await _insert(studio, session, merchant_id, product, picture)
            count(start + len(chunk), len(products), "pictures drawn")


async def _insert(
    studio: Studio, session: AsyncSession, merchant_id: UUID, product: DemoProduct, picture: bytes
) -> None:
    sha256 = hashlib.sha256(picture).hexdigest()
    key = f"products/{product.id}/{sha256[:32]}.jpg"
    await studio.blobs.put(key, picture, "image/jpeg")
    values = {
        "owner_id": merchant_id,
        "title": product.title,
        "description": f"{product.title} by {product.brand}, drawn for the demo.",
        "category": product.garment.category,
        "brand": product.brand,
        "sku": product.sku,
        "group_id": product.group_id,
        "price": product.price,
        "currency": "EUR",
        "in_stock": product.in_stock,
        "attributes": {"colour": product.garment.colour, "pattern": product.garment.pattern},
        "image_key": key,
        "image_sha256": sha256,
        "change_seq": await take_change_seq(session),
    }
    await upsert_product(session, product.id, values)


def _draw_jpeg(garment: Garment) -> bytes:
    buffer = io.BytesIO()
    draw_garment(garment, size=SIDE_PX).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()
