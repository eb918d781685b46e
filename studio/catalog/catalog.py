"""Products: each is written in the same transaction as its picture's vector."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from db.audit import insert_audit
from db.catalog import (
    get_product,
    live_columns,
    take_change_lock,
    take_change_seq,
    update_product,
    upsert_product,
)
from db.product_images import replace_images
from db.tables import Product, ProductImage
from db.users import hold_owner
from errors import Conflict, NotFound
from studio.catalog.form import PictureForm, ProductForm, ProductPatch
from studio.catalog.pictures import (
    Picture,
    PictureReader,
    PictureTask,
    are_current,
    hold_sources,
    source_of,
    write_vectors,
)
from studio.catalog.removal import empty_product, retire_copies
from studio.catalog.shown import ShownProduct, find_shown
from studio.context import current_request_id
from studio.deletion.blob_removal import remove_soon
from studio.job_types import Guard
from studio.ports import Studio


@dataclass(frozen=True)
class Owner:
    """The account that writes; admins may write the products of all merchants."""

    id: UUID
    is_admin: bool = False


Check = Callable[[ShownProduct], Awaitable[None]]
Columns = Callable[[Product | None], dict[str, Any]]
MAX_ATTEMPTS = 5


@dataclass(frozen=True)
class ProductWrite:
    """A PUT or a PATCH of a product, before its transaction.

    Attributes:
        columns: the values of the row, by column; called with the live row, if there is one.
        guard: runs first in the transaction.
        check: runs last, with the written row; if it raises, nothing is committed.
    """

    owner: Owner
    product_id: str
    columns: Columns
    guard: Guard | None
    check: Check | None


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

    Raises:
        NotFound: the product belongs to another merchant, or the owner may not use the picture.
        Conflict: other requests keep changing the product's pictures.
        Invalid, NotAnImage, TooLarge, UpstreamFailed: a picture can't be used.
        Unavailable: the embedder is saturated or down; nothing is written then.
    """
    write = ProductWrite(owner, product_id, lambda live: form.to_columns(), guard, check)
    return await _write_with_pictures(studio, write, form.pictures)


async def patch_product(
    studio: Studio,
    owner: Owner,
    product_id: str,
    patch: ProductPatch,
    *,
    guard: Guard | None = None,
    check: Check | None = None,
) -> Product:
    """Changes what the patch names. Without pictures, it reads and embeds none.

    A patch that changes nothing takes no change number.

    Raises:
        NotFound: there is no such product, it belongs to another merchant, or the owner may not
            use the picture.
        Invalid: the product would not be valid.
        Conflict, NotAnImage, TooLarge, UpstreamFailed, Unavailable: as `put_product`.
    """

    def columns(live: Product | None) -> dict[str, Any]:
        if live is None:
            raise NotFound(f"there is no product {product_id}")
        return patch.to_columns(live)

    write = ProductWrite(owner, product_id, columns, guard, check)
    if patch.pictures is not None:
        return (await _write_with_pictures(studio, write, patch.pictures))[0]
    async with studio.database.transaction() as session:
        return await _write_without_pictures(session, write)


async def _write_with_pictures(
    studio: Studio, write: ProductWrite, forms: Sequence[PictureForm]
) -> tuple[Product, bool]:
    before = await _find_before(studio, write)
    reader = PictureReader(studio, write.owner.id, forms)
    for _ in range(MAX_ATTEMPTS):
        shown = before.pictures if before else []
        pictures = await PictureTask(studio, write.product_id, reader, shown).prepare()
        async with studio.database.transaction() as session:
            written = await _write(session, write, pictures)
        if written is not None:
            return written
        before = await _find_before(studio, write)
    raise Conflict("the product's pictures are being changed by others; try again")


async def _find_before(studio: Studio, write: ProductWrite) -> ShownProduct | None:
    """The live product. Refuses the write, if it must be refused, before pictures are read."""
    async with studio.database.transaction() as session:
        before = await find_shown(session, write.product_id)
    live = before.product if before else None
    refuse_foreign(live, write.owner)
    write.columns(live)
    return before


async def _begin(session: AsyncSession, write: ProductWrite) -> None:
    """The first locks of a write, in the order of `db.deletion.lineage`."""
    await hold_owner(session, write.owner.id)
    if write.guard is not None:
        await write.guard(session)


async def _write(
    session: AsyncSession, write: ProductWrite, pictures: Sequence[Picture]
) -> tuple[Product, bool] | None:
    """The row and whether it is new; None if the pictures have changed since they were prepared."""
    await _begin(session, write)
    files = await hold_sources(session, pictures)  # before other locks, as in deletions
    await take_change_lock(session)
    await get_product(session, write.product_id, deleted=True, lock=True)
    before = await find_shown(session, write.product_id)
    live, shown = (before.product, before.pictures) if before else (None, [])
    refuse_foreign(live, write.owner)
    if live is None and any(picture.is_own_copy for picture in pictures):
        raise NotFound("no such picture")  # the product's own copy was deleted with it
    if not are_current(pictures, shown):
        return None
    owner_id = live.owner_id if live else write.owner.id
    sources = [source_of(picture, shown, files, owner_id) for picture in pictures]
    former_keys = [row.image_key for row in shown]
    values = write.columns(live) | sources[0] | {"owner_id": owner_id}
    product = await _write_row(session, write.product_id, values, live)
    images = [
        ProductImage(product_id=product.id, position=place, **source)
        for place, source in enumerate(sources[1:], start=1)
    ]
    await replace_images(session, product.id, images)
    await write_vectors(session, product, pictures[0])
    await retire_copies(session, former_keys, [picture.key for picture in pictures])
    if write.check is not None:
        await write.check(ShownProduct(product, images))
    return product, live is None


async def _write_without_pictures(session: AsyncSession, write: ProductWrite) -> Product:
    """Writes a live product's row, if it changes."""
    await _begin(session, write)
    await take_change_lock(session)
    before = await find_shown(session, write.product_id, lock=True)
    live = before.product if before else None
    refuse_foreign(live, write.owner)
    values = write.columns(live)
    if before is None or live is None:
        raise NotFound(f"there is no product {write.product_id}")
    if any(getattr(live, name) != value for name, value in values.items()):
        live = await _write_row(session, write.product_id, values, live)
    if write.check is not None:
        await write.check(ShownProduct(live, before.images))
    return live


async def _write_row(
    session: AsyncSession, product_id: str, values: dict[str, Any], live: Product | None
) -> Product:
    """Writes these columns, the times and the next change number."""
    values = values | live_columns(live.created_at if live else None)
    values["change_seq"] = await take_change_seq(session)
    if live is None:
        return await upsert_product(session, product_id, values)
    return await update_product(session, product_id, values)


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
        keys = await empty_product(session, product)
        insert_audit(
            session,
            "PRODUCT_DELETED",
            actor_id=owner.id,
            subject=product_id,
            request_id=current_request_id(),
        )
    await remove_soon(studio.database, studio.blobs, sorted(keys))


def refuse_foreign(product: Product | None, owner: Owner) -> None:
    """Checks that the owner may change the product, if there is one.

    Raises:
        NotFound: the product belongs to another merchant.
    """
    if product is not None and product.owner_id != owner.id and not owner.is_admin:
        raise NotFound(f"there is no product {product.id}")
