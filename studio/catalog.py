"""Products: written with their picture's vector in one transaction, so search never lags behind."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func
from sqlmodel.ext.asyncio.session import AsyncSession

from db.audit import insert_audit
from db.catalog import (
    get_embedding,
    get_product,
    put_embedding,
    take_change_lock,
    take_change_seq,
    upsert_product,
)
from db.tables import Product, ProductEmbedding
from errors import NotFound
from models.images import public_copy
from studio.blob_removal import remove_soon
from studio.context import current_request_id
from studio.files import LoadedImage, load_image
from studio.index_rows import pack_vector
from studio.ports import Embedding, Studio
from studio.product_removal import empty_product, retire_copy


@dataclass(frozen=True)
class Owner:
    """Who writes; admins may write everyone's products."""

    id: UUID
    is_admin: bool = False


@dataclass(frozen=True)
class ProductDraft:
    """A product as a merchant describes it; exactly one of the picture's two names."""

    title: str
    category: str
    price: Decimal
    currency: str
    description: str | None = None
    brand: str | None = None
    in_stock: bool = True
    attributes: dict[str, Any] = field(default_factory=dict)
    image_url: str | None = None
    file_id: UUID | None = None


Guard = Callable[[AsyncSession], Awaitable[None]]


@dataclass(frozen=True)
class Picture:
    """A product's picture: what the models saw, and the copy that everyone may see."""

    key: str
    sha256: str
    embedding: Embedding | None


async def put_product(
    studio: Studio,
    owner: Owner,
    product_id: str,
    draft: ProductDraft,
    *,
    guard: Guard | None = None,
) -> tuple[Product, bool]:
    """Creates or replaces a product; the second value says whether it is new.

    `guard` runs first in the transaction that writes, and raises where it must not write.

    Raises:
        NotFound: the product is another merchant's, or the picture can't be seen by the owner.
        Invalid, NotAnImage, TooLarge, UpstreamFailed: the picture can't be used.
        Unavailable: the embedder is saturated or down; nothing is written then.
    """
    async with studio.database.transaction() as session:
        before = await get_product(session, product_id)
        refuse_foreign(before, owner)
    loaded = await load_image(studio, owner.id, image_url=draft.image_url, file_id=draft.file_id)
    picture = await _see_picture(studio, product_id, before, loaded)
    async with studio.database.transaction() as session:
        if guard is not None:
            await guard(session)
        seq = await take_change_seq(session)
        there = await get_product(session, product_id, deleted=True, lock=True)
        if there is not None and there.deleted_at is None:
            refuse_foreign(there, owner)
            is_new, former_key = False, there.image_key
            kept: dict[str, Any] = {"owner_id": there.owner_id, "created_at": there.created_at}
        else:
            is_new, former_key = True, None
            kept = {"owner_id": owner.id, "created_at": func.now()}
        values = (
            asdict(draft)
            | kept
            | {
                "file_id": loaded.file_id,
                "image_url": outside_url(draft, loaded),
                "image_key": picture.key,
                "image_sha256": picture.sha256,
                "change_seq": seq,
                "updated_at": func.now(),
                "deleted_at": None,
            }
        )
        product = await upsert_product(session, product_id, values)
        await _keep_vector(session, product, picture)
        await retire_copy(session, former_key, picture.key)
    return product, is_new


async def delete_product(studio: Studio, owner: Owner, product_id: str) -> None:
    """Takes a product out of catalogue and search.

    Raises:
        NotFound: there is none, or it is another merchant's.
    """
    async with studio.database.transaction() as session:
        await take_change_lock(session)
        product = await get_product(session, product_id, lock=True)
        refuse_foreign(product, owner)
        if product is None:
            raise NotFound(f"there is no product {product_id}")
        await empty_product(session, product)
        insert_audit(
            session,
            "PRODUCT_DELETED",
            actor_id=owner.id,
            subject=product_id,
            request_id=current_request_id(),
        )
    await remove_soon(studio.database, studio.blobs)


def refuse_foreign(product: Product | None, owner: Owner) -> None:
    """Raises:
    NotFound: the product is another merchant's.
    """
    if product is not None and product.owner_id != owner.id and not owner.is_admin:
        raise NotFound(f"there is no product {product.id}")


def outside_url(draft: ProductDraft, loaded: LoadedImage) -> str | None:
    """Where the picture was fetched from, without what may be a signature."""
    if draft.image_url is None or loaded.key is not None:
        return None
    return draft.image_url.split("?")[0]


async def _see_picture(
    studio: Studio, product_id: str, before: Product | None, loaded: LoadedImage
) -> Picture:
    """Vector and public copy; neither is made again for a picture that did not change."""
    if before is not None and loaded.key == before.image_key:
        return Picture(before.image_key, before.image_sha256, None)
    sha256 = hashlib.sha256(loaded.data).hexdigest()
    embedding = await studio.embedder.embed_image(loaded.data)
    folder = hashlib.sha256(product_id.encode()).hexdigest()[:16]
    # A copy of its own for each write: the one of a write before may be about to be removed.
    key = f"products/{folder}/{sha256[:24]}-{uuid4().hex[:8]}.jpg"
    copy = await asyncio.to_thread(public_copy, loaded.data)
    await studio.blobs.put(key, copy, "image/jpeg")
    return Picture(key, sha256, embedding)


async def _keep_vector(session: AsyncSession, product: Product, picture: Picture) -> None:
    if picture.embedding is None:
        return
    version = picture.embedding.version
    there = await get_embedding(session, product.id, version)
    if there is None or there.image_sha256 != picture.sha256:
        await put_embedding(
            session,
            ProductEmbedding(
                product_id=product.id,
                embedder_version=version,
                vector=pack_vector(picture.embedding.vector),
                image_sha256=picture.sha256,
            ),
        )
