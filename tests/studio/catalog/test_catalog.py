"""Products and their pictures: concurrent PUTs and deletions, and uploads of other accounts."""

import asyncio
from pathlib import Path
from uuid import UUID

import pytest
from alembic import command
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from db.catalog import list_changes
from db.engine import Database
from db.migrate import alembic_config
from db.tables import File, Product
from errors import Conflict, NotFound
from studio.accounts.accounts import create_user
from studio.catalog.catalog import Owner, delete_product, put_product
from studio.catalog.form import ProductForm
from studio.files import files, uploads
from studio.files.checks import FileChecks
from studio.ports import Studio
from tests.support.fakes import FakeEmbedder, picture

PRODUCT = {"title": "A thing", "category": "dress", "price": "9.99", "currency": "EUR"}


def form_of(**fields: object) -> ProductForm:
    """A form with these fields, named as on the wire."""
    return ProductForm.model_validate(PRODUCT | fields)


async def merchant(studio: Studio, name: str = "merchant") -> Owner:
    account = await create_user(
        studio.database, email=f"{name}@example.com", password="x" * 12, role="merchant"
    )
    return Owner(account.id)


async def put_upload(studio: Studio, owner: Owner, colour: str) -> UUID:
    """A completed upload of one colour."""
    data = picture(colour)
    form = uploads.UploadForm.model_validate(
        {
            "filename": "a.jpg",
            "contentType": "image/jpeg",
            "sizeBytes": len(data),
            "purpose": "product",
        }
    )
    presigned = await uploads.presign(studio, owner.id, form)
    async with studio.database.read() as session:
        file = await session.get(File, presigned.file_id)
    assert file is not None
    await studio.blobs.put(file.blob_key, data, "image/jpeg")
    await uploads.complete(studio, FileChecks(), owner.id, presigned.file_id)
    return presigned.file_id


async def put_colour(
    studio: Studio, owner: Owner, colour: str, product_id: str = "p-1", **changes: object
) -> Product:
    file_id = await put_upload(studio, owner, colour)
    form = form_of(fileId=file_id, **changes)
    return (await put_product(studio, owner, product_id, form))[0]


async def form_of_same_picture(studio: Studio, product: Product) -> ProductForm:
    """A form that changes the title and names the picture by its own URL, as a page does."""
    url = await studio.blobs.sign_get(product.image_key)
    return form_of(title="Another title", imageUrl=url)


async def has_vector(studio: Studio, product_id: str = "p-1") -> bool:
    """Whether an index would contain the product."""
    async with studio.database.read() as session:
        version = await studio.embedder.version()
        changes = await list_changes(session, version, after_seq=0, limit=100)
    return {one.id: one.vector is not None for one in changes}[product_id]


class Pause:
    """A guard that waits after a PUT has prepared its picture, before it takes locks."""

    def __init__(self) -> None:
        self.reached, self.released = asyncio.Event(), asyncio.Event()

    async def __call__(self, session: AsyncSession) -> None:
        self.reached.set()
        await self.released.wait()


async def test_a_picture_that_changes_under_a_put_keeps_its_vector(studio: Studio) -> None:
    owner = await merchant(studio)
    red = await put_colour(studio, owner, "red")
    pause = Pause()
    form = await form_of_same_picture(studio, red)
    slow = asyncio.create_task(put_product(studio, owner, "p-1", form, guard=pause))
    await pause.reached.wait()
    await put_colour(studio, owner, "blue")
    pause.released.set()
    product, is_new = await slow
    assert (product.title, is_new) == ("Another title", False)
    assert await has_vector(studio)


async def test_a_product_deleted_under_a_put_does_not_come_back_with_its_own_picture(
    studio: Studio,
) -> None:
    owner = await merchant(studio)
    red = await put_colour(studio, owner, "red")
    pause = Pause()
    form = await form_of_same_picture(studio, red)
    slow = asyncio.create_task(put_product(studio, owner, "p-1", form, guard=pause))
    await pause.reached.wait()
    await delete_product(studio, owner, "p-1")
    pause.released.set()
    with pytest.raises(NotFound, match="no such picture"):
        await slow


async def test_a_put_that_never_gets_the_same_picture_twice_gives_up(studio: Studio) -> None:
    owner = await merchant(studio)
    form = await form_of_same_picture(studio, await put_colour(studio, owner, "red"))

    async def replace_picture(session: AsyncSession) -> None:
        async with studio.database.transaction() as other:
            row = await other.get(Product, "p-1", with_for_update=True)
            assert row is not None
            row.image_sha256 += "0"

    with pytest.raises(Conflict, match="by others"):
        await put_product(studio, owner, "p-1", form, guard=replace_picture)


async def test_the_same_picture_is_embedded_once_and_keeps_its_source(studio: Studio) -> None:
    owner = await merchant(studio)
    red = await put_colour(studio, owner, "red")
    assert isinstance(studio.embedder, FakeEmbedder)
    studio.embedder.failure = RuntimeError("nothing is to be embedded")
    form = await form_of_same_picture(studio, red)
    product, _ = await put_product(studio, owner, "p-1", form)
    studio.embedder.failure = None
    assert (product.file_id, product.image_key) == (red.file_id, red.image_key)
    assert product.file_id is not None and await has_vector(studio)


async def test_a_picture_deleted_under_a_put_is_not_there(studio: Studio) -> None:
    owner = await merchant(studio)
    file_id = await put_upload(studio, owner, "red")
    pause = Pause()
    form = form_of(fileId=file_id)
    slow = asyncio.create_task(put_product(studio, owner, "p-1", form, guard=pause))
    await pause.reached.wait()
    await files.delete(studio, owner.id, file_id, ip=None)
    pause.released.set()
    with pytest.raises(NotFound, match="no such picture"):
        await slow


async def test_a_product_of_anothers_picture_does_not_pin_the_upload(studio: Studio) -> None:
    owner, rival = await merchant(studio), await merchant(studio, "rival")
    own = await put_colour(studio, owner, "red")
    assert own.file_id is not None
    for product_id, form in (
        ("by-file", form_of(fileId=own.file_id)),
        ("by-url", form_of(imageUrl=await url_of(studio, own.file_id))),
    ):
        copied, _ = await put_product(studio, rival, product_id, form)
        assert copied.file_id is None and copied.image_key != own.image_key
    with pytest.raises(Conflict, match="delete the product first"):
        await files.delete(studio, owner.id, own.file_id, ip=None)
    await delete_product(studio, owner, "p-1")
    await files.delete(studio, owner.id, own.file_id, ip=None)
    assert await studio.blobs.head(copied.image_key) is not None
    assert await has_vector(studio, "by-file")


async def url_of(studio: Studio, file_id: UUID) -> str:
    async with studio.database.read() as session:
        file = await session.get(File, file_id)
    assert file is not None
    return await studio.blobs.sign_get(file.blob_key)


async def test_products_that_pinned_anothers_upload_let_go_of_it(
    studio: Studio, database_url: str, tmp_path: Path
) -> None:
    owner, rival = await merchant(studio), await merchant(studio, "rival")
    own = await put_colour(studio, owner, "red")
    await put_colour(studio, rival, "blue", "rivals")
    async with studio.database.transaction() as session:
        row = await session.get(Product, "rivals")
        assert row is not None
        row.file_id = own.file_id  # as the studio wrote it before
    config = alembic_config(database_url)
    await asyncio.to_thread(command.downgrade, config, "0010")
    await asyncio.to_thread(command.upgrade, config, "head")
    database = Database(database_url, pool_size=1)
    async with database.read() as session:
        rows = await session.exec(select(Product.id, Product.file_id))
        assert dict(rows.all()) == {"p-1": own.file_id, "rivals": None}
    await database.aclose()


async def test_the_unchanged_picture_keeps_the_products_copy(studio: Studio) -> None:
    owner = await merchant(studio)
    red = await put_colour(studio, owner, "red")
    again = await put_colour(studio, owner, "red", title="Another title")
    assert (again.title, again.image_key) == ("Another title", red.image_key)
    assert again.file_id != red.file_id and await has_vector(studio)
    await studio.blobs.delete(red.image_key)
    restored = await put_colour(studio, owner, "red")
    assert restored.image_key != red.image_key and await studio.blobs.head(restored.image_key)


async def test_a_put_of_the_same_picture_makes_a_copy_where_the_former_one_went(
    studio: Studio,
) -> None:
    owner = await merchant(studio)
    red = await put_colour(studio, owner, "red")
    pause = Pause()
    form = form_of(fileId=await put_upload(studio, owner, "red"))
    slow = asyncio.create_task(put_product(studio, owner, "p-1", form, guard=pause))
    await pause.reached.wait()
    await delete_product(studio, owner, "p-1")
    pause.released.set()
    product, is_new = await slow
    assert is_new and product.image_key != red.image_key
    assert await studio.blobs.head(product.image_key) and await has_vector(studio)
