"""Products: written with their picture's vector in one transaction, so search never lags behind."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func
from sqlmodel.ext.asyncio.session import AsyncSession

from db.audit import insert_audit
from db.catalog import (
    get_embedding,
    get_product,
    hold_file,
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
from studio.catalog.removal import empty_product, retire_copy
from studio.context import current_request_id
from studio.deletion.blob_removal import remove_soon
from studio.files.files import LoadedImage, load_image
from studio.files.picture_memory import hold_picture
from studio.files.picture_threads import run_on_picture
from studio.ports import Studio


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
Check = Callable[[Product], Awaitable[None]]
MAX_STARTS = 5


@dataclass(frozen=True)
class Picture:
    """A product's picture: what the models saw, and the copy that everyone may see.

    embedding: None where the picture is named by the product's own copy, so that nothing is
    embedded. is_same: the copy is the one that the product had before.
    """

    key: str
    sha256: str
    embedding: Embedding | None
    is_same: bool = False

    def is_of(self, product: Product) -> bool:
        """Whether the product shows this picture."""
        return (product.image_key, product.image_sha256) == (self.key, self.sha256)


@dataclass(frozen=True)
class Write:
    """One PUT of a product, as far as it is decided before its transaction."""

    owner: Owner
    product_id: str
    draft: ProductDraft
    loaded: LoadedImage
    guard: Guard | None
    check: Check | None


async def put_product(
    studio: Studio,
    owner: Owner,
    product_id: str,
    draft: ProductDraft,
    *,
    guard: Guard | None = None,
    check: Check | None = None,
) -> tuple[Product, bool]:
    """Creates or replaces a product; the second value says whether it is new.

    `guard` runs first in the transaction that writes, and raises where it must not write; `check`
    runs last, and raises where the row can't be answered: nothing is committed then.

    Raises:
        NotFound: the product is another merchant's, or the picture can't be seen by the owner.
        Conflict: others change the product's picture all the time.
        Invalid, NotAnImage, TooLarge, UpstreamFailed: the picture can't be used.
        Unavailable: the embedder is saturated or down; nothing is written then.
    """
    before = await _find_own(studio, owner, product_id)
    loaded = await load_image(studio, owner.id, image_url=draft.image_url, file_id=draft.file_id)
    write = Write(owner, product_id, draft, loaded, guard, check)
    for _ in range(MAX_STARTS):
        picture = await _see_picture(studio, product_id, before, loaded)
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
    session: AsyncSession, write: Write, picture: Picture
) -> tuple[Product, bool] | None:
    """The row and whether it is new; None where the picture changed since it was looked at."""
    await hold_owner(session, write.owner.id)  # in the order of `db.deletion.lineage`
    if write.guard is not None:
        await write.guard(session)
    file = await _hold_source(session, write.loaded)  # before other locks: so do deletions
    await take_change_lock(session)
    there = await get_product(session, write.product_id, deleted=True, lock=True)
    live = there if there is not None and there.deleted_at is None else None
    refuse_foreign(live, write.owner)
    values = asdict(write.draft) | {
        "owner_id": live.owner_id if live else write.owner.id,
        "created_at": live.created_at if live else func.now(),
        "image_key": picture.key,
        "image_sha256": picture.sha256,
        "updated_at": func.now(),
        "deleted_at": None,
    }
    if picture.is_same and (live is None or not picture.is_of(live)):
        if picture.embedding is None and live is None:
            raise NotFound("no such picture")  # it was the product's own, and went with it
        return None
    if picture.embedding is None and live is not None:
        values |= {"file_id": live.file_id, "image_url": live.image_url}
    else:
        # Another merchant's upload stays its owner's to delete: the product has its own copy.
        is_own = file is not None and file.owner_id == values["owner_id"]
        values |= {
            "file_id": file.id if file is not None and is_own else None,
            "image_url": outside_url(write.draft, write.loaded),
        }
    former_key = live.image_key if live else None
    values["change_seq"] = await take_change_seq(session)
    product = await upsert_product(session, write.product_id, values)
    await _keep_vector(session, product, picture)
    await retire_copy(session, former_key, picture.key)
    if write.check is not None:
        await write.check(product)
    return product, live is None


async def _hold_source(session: AsyncSession, loaded: LoadedImage) -> File | None:
    """The upload that the picture is, which can't be deleted meanwhile.

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
    """Vector and public copy; a picture that did not change keeps its copy, so that its URLs and
    what was made of it stay.
    """
    if before is not None and loaded.key == before.image_key:
        return Picture(before.image_key, before.image_sha256, None, is_same=True)
    hold_picture(len(loaded.data))
    sha256 = hashlib.sha256(loaded.data).hexdigest()
    embedding = await studio.embedder.embed_image(loaded.data)
    if before is not None and await _has_copy(studio, before, sha256):
        return Picture(before.image_key, sha256, embedding, is_same=True)
    folder = hashlib.sha256(product_id.encode()).hexdigest()[:16]
    # A copy of its own for each write: the one of a write before may be about to be removed.
    key = f"products/{folder}/{sha256[:24]}-{uuid4().hex[:8]}.jpg"
    copy = await run_on_picture(partial(public_copy, loaded.data))
    await studio.blobs.put(key, copy, "image/jpeg")
    return Picture(key, sha256, embedding)


async def _has_copy(studio: Studio, product: Product, sha256: str) -> bool:
    """Whether the product has a public copy of this picture, and its blob is there."""
    if product.image_sha256 != sha256 or not product.image_key.startswith("products/"):
        return False
    return await studio.blobs.head(product.image_key) is not None


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
