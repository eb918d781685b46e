"""Products: each is written in the same transaction as its picture's vector."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from sqlmodel.ext.asyncio.session import AsyncSession

from db.audit import insert_audit
from db.catalog import (
    get_embedding,
    get_product,
    hold_file,
    list_products,
    live_columns,
    put_embedding,
    take_change_lock,
    take_change_seq,
    upsert_product,
)
from db.tables import File, Product, ProductEmbedding
from db.users import hold_owner
from errors import Conflict, NotFound
from models.embedder.shapes import Embedding, pack_vector
from models.images import public_copy
from studio.catalog.form import ProductForm
from studio.catalog.removal import empty_product, retire_copy
from studio.context import current_request_id
from studio.deletion.blob_removal import remove_soon
from studio.files.files import LoadedImage, load_image
from studio.files.picture_memory import hold_picture
from studio.files.picture_threads import run_on_picture
from studio.job_types import Guard
from studio.ports import Studio


@dataclass(frozen=True)
class Owner:
    """The account that writes; admins may write the products of all merchants."""

    id: UUID
    is_admin: bool = False


Check = Callable[[Product], Awaitable[None]]
MAX_ATTEMPTS = 5


@dataclass(frozen=True)
class Picture:
    """A product's picture: its vector by each embedder that answers, and the public copy of it.

    embeddings: none if the form names the product's own copy, which has vectors already.
    is_same: the product had this copy before.
    """

    key: str
    sha256: str
    embeddings: tuple[Embedding, ...]
    is_same: bool = False

    def is_of(self, product: Product) -> bool:
        """Whether the product shows this picture."""
        return (product.image_key, product.image_sha256) == (self.key, self.sha256)


@dataclass(frozen=True)
class ProductWrite:
    """A PUT of a product, before its transaction."""

    owner: Owner
    product_id: str
    form: ProductForm
    loaded: LoadedImage
    guard: Guard | None
    check: Check | None


async def find_product(studio: Studio, product_id: str) -> Product:
    """A live product.

    Raises:
        NotFound: there is no such product.
    """
    async with studio.database.read() as session:
        product = await get_product(session, product_id)
    if product is None:
        raise NotFound(f"there is no product {product_id}")
    return product


async def list_page(
    studio: Studio, *, limit: int, after: tuple[datetime, str] | None
) -> list[Product]:
    """Live products, newest first, those that come after the given (created_at, id)."""
    async with studio.database.read() as session:
        return await list_products(session, limit=limit, after=after)


async def put_product(
    studio: Studio,
    owner: Owner,
    product_id: str,
    form: ProductForm,
    *,
    guard: Guard | None = None,
    check: Check | None = None,
) -> tuple[Product, bool]:
    """Creates or replaces a product; the second value says whether it is new.

    `guard` runs first in the transaction that writes. `check` runs last, with the written row; if
    it raises, nothing is committed.

    Raises:
        NotFound: the product belongs to another merchant, or the owner may not use the picture.
        Conflict: other requests keep changing the product's picture.
        Invalid, NotAnImage, TooLarge, UpstreamFailed: the picture can't be used.
        Unavailable: the embedder is saturated or down; nothing is written then.
    """
    before = await _find_own(studio, owner, product_id)
    loaded = await load_image(studio, owner.id, image_url=form.image_url, file_id=form.file_id)
    write = ProductWrite(owner, product_id, form, loaded, guard, check)
    for _ in range(MAX_ATTEMPTS):
        picture = await _prepare_picture(studio, product_id, before, loaded)
        async with studio.database.transaction() as session:
            written = await _write(session, write, picture)
        if written is not None:
            return written
        before = await _find_own(studio, owner, product_id)
    raise Conflict("the product's picture is being changed by others; try again")


async def _find_own(studio: Studio, owner: Owner, product_id: str) -> Product | None:
    async with studio.database.transaction() as session:
        product = await get_product(session, product_id)
        refuse_foreign(product, owner)
        return product


async def _write(
    session: AsyncSession, write: ProductWrite, picture: Picture
) -> tuple[Product, bool] | None:
    """The row and whether it is new; None if the picture has changed since it was prepared."""
    await hold_owner(session, write.owner.id)  # in the order of `db.deletion.lineage`
    if write.guard is not None:
        await write.guard(session)
    file = await _hold_source(session, write.loaded)  # before other locks, as in deletions
    await take_change_lock(session)
    row = await get_product(session, write.product_id, deleted=True, lock=True)
    live = row if row is not None and row.deleted_at is None else None
    refuse_foreign(live, write.owner)
    if picture.is_same and (live is None or not picture.is_of(live)):
        if not picture.embeddings and live is None:
            raise NotFound("no such picture")  # the product's own copy was deleted with it
        return None
    former_key = live.image_key if live else None
    values = _to_columns(write, picture, live, file)
    values["change_seq"] = await take_change_seq(session)
    product = await upsert_product(session, write.product_id, values)
    await _write_vectors(session, product, picture)
    await retire_copy(session, former_key, picture.key)
    if write.check is not None:
        await write.check(product)
    return product, live is None


def _to_columns(
    write: ProductWrite, picture: Picture, live: Product | None, file: File | None
) -> dict[str, Any]:
    """The values of the row, by column, without its change number."""
    owner_id = live.owner_id if live else write.owner.id
    values = write.form.to_columns() | {
        "owner_id": owner_id,
        "image_key": picture.key,
        "image_sha256": picture.sha256,
        **live_columns(live.created_at if live else None),
    }
    if not picture.embeddings and live is not None:
        return values | {"file_id": live.file_id, "image_url": live.image_url}
    # The owner of another merchant's upload can still delete it: the product has its own copy.
    is_own = file is not None and file.owner_id == owner_id
    return values | {
        "file_id": file.id if file is not None and is_own else None,
        "image_url": outside_url(write.form, write.loaded),
    }


async def _hold_source(session: AsyncSession, loaded: LoadedImage) -> File | None:
    """Locks the upload that the picture comes from, so that it can't be deleted meanwhile.

    Raises:
        NotFound: it was deleted since it was read.
    """
    if loaded.file_id is None:
        return None
    file = await hold_file(session, loaded.file_id)
    if file is None:
        raise NotFound("no such picture")
    return file


async def delete_product(studio: Studio, owner: Owner, product_id: str) -> None:
    """Removes a product from the catalogue and from search.

    Raises:
        NotFound: there is no such product, or it belongs to another merchant.
    """
    async with studio.database.transaction() as session:
        await take_change_lock(session)
        product = await get_product(session, product_id, lock=True)
        refuse_foreign(product, owner)
        if product is None:
            raise NotFound(f"there is no product {product_id}")
        key = product.image_key
        await empty_product(session, product)
        insert_audit(
            session,
            "PRODUCT_DELETED",
            actor_id=owner.id,
            subject=product_id,
            request_id=current_request_id(),
        )
    await remove_soon(studio.database, studio.blobs, [key])


def refuse_foreign(product: Product | None, owner: Owner) -> None:
    """Checks that the owner may change the product, if there is one.

    Raises:
        NotFound: the product belongs to another merchant.
    """
    if product is not None and product.owner_id != owner.id and not owner.is_admin:
        raise NotFound(f"there is no product {product.id}")


def outside_url(form: ProductForm, loaded: LoadedImage) -> str | None:
    """The URL that the picture was fetched from, without its query, which may be a signature."""
    if form.image_url is None or loaded.key is not None:
        return None
    return form.image_url.split("?")[0]


async def _prepare_picture(
    studio: Studio, product_id: str, before: Product | None, loaded: LoadedImage
) -> Picture:
    """Embeds the picture and writes its public copy.

    An unchanged picture keeps its copy, and with it the copy's URLs and everything derived from it.
    """
    if before is not None and loaded.key == before.image_key:
        return Picture(before.image_key, before.image_sha256, (), is_same=True)
    hold_picture(len(loaded.data))
    sha256 = hashlib.sha256(loaded.data).hexdigest()
    embeddings = await studio.embedder.embed_for_all(loaded.data)
    if before is not None and await _has_copy(studio, before, sha256):
        return Picture(before.image_key, sha256, embeddings, is_same=True)
    folder = hashlib.sha256(product_id.encode()).hexdigest()[:16]
    # Each write creates its own copy, because an older one may be removed at this moment.
    key = f"products/{folder}/{sha256[:24]}-{uuid4().hex[:8]}.jpg"
    copy = await run_on_picture(partial(public_copy, loaded.data))
    await studio.blobs.put(key, copy, "image/jpeg")
    return Picture(key, sha256, embeddings)


async def _has_copy(studio: Studio, product: Product, sha256: str) -> bool:
    """Whether the product has a public copy of this picture, and its blob is there."""
    if product.image_sha256 != sha256 or not product.image_key.startswith("products/"):
        return False
    return await studio.blobs.head(product.image_key) is not None


async def _write_vectors(session: AsyncSession, product: Product, picture: Picture) -> None:
    for embedding in picture.embeddings:
        stored = await get_embedding(session, product.id, embedding.version)
        if stored is None or stored.image_sha256 != picture.sha256:
            await put_embedding(
                session,
                ProductEmbedding(
                    product_id=product.id,
                    embedder_version=embedding.version,
                    vector=pack_vector(embedding.vector),
                    image_sha256=picture.sha256,
                ),
            )
