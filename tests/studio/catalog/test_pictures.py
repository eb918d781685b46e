"""Products with several pictures: their copies, their sources, and what is embedded."""

from typing import Any
from uuid import UUID

import pytest
from sqlmodel import select

from db.tables import DoomedBlob, Product
from errors import Conflict, Invalid, NotAnImage, NotFound
from studio.catalog.catalog import Owner, delete_product, patch_product, put_product
from studio.catalog.form import ProductPatch
from studio.catalog.shown import find_product, list_page
from studio.files import files
from studio.files.files import load_image
from studio.operations.erasing import repeat_erasure
from studio.ports import Studio
from tests.studio.catalog.test_catalog import form_of, has_vector, merchant, put_upload
from tests.support.fakes import FakeEmbedder


async def put_images(studio: Studio, owner: Owner, *images: UUID | str, **changes: Any) -> Product:
    """Writes p-1 with these uploads and URLs."""
    names = [{"fileId" if isinstance(one, UUID) else "imageUrl": one} for one in images]
    form = form_of(images=names, **changes)
    return (await put_product(studio, owner, "p-1", form))[0]


async def uploads_of(studio: Studio, owner: Owner, *colours: str) -> list[UUID]:
    return [await put_upload(studio, owner, colour) for colour in colours]


async def keys_of(studio: Studio) -> list[str]:
    """The public copies that p-1 shows, in order."""
    shown = await find_product(studio, "p-1")
    assert [image.position for image in shown.images] == list(range(1, len(shown.pictures)))
    return [picture.image_key for picture in shown.pictures]


async def urls_of(studio: Studio) -> list[str]:
    return [await studio.blobs.sign_get(key) for key in await keys_of(studio)]


async def copies(studio: Studio) -> set[str]:
    return {key async for key in studio.blobs.list("products/")}


async def doomed(studio: Studio) -> set[str]:
    async with studio.database.read() as session:
        return set((await session.exec(select(DoomedBlob.key))).all())


def embedded(studio: Studio) -> int:
    assert isinstance(studio.embedder, FakeEmbedder)
    return studio.embedder.images_embedded


async def test_every_picture_has_a_public_copy_that_everyone_can_use(studio: Studio) -> None:
    owner = await merchant(studio)
    sources = await uploads_of(studio, owner, "red", "blue", "green")
    await put_images(studio, owner, *sources)
    keys = await keys_of(studio)
    assert set(keys) == await copies(studio) and len(keys) == 3
    assert [row.file_id for row in (await find_product(studio, "p-1")).pictures] == sources
    for url, key, source in zip(await urls_of(studio), keys, sources, strict=True):
        assert (await load_image(studio, None, image_url=url, file_id=None)).key == key
        shopper = await load_image(studio, None, image_url=None, file_id=source)
        assert shopper.key == key, "the upload itself is private"
    assert embedded(studio) == 1, "the first picture is the one that is searched"
    (listed,) = await list_page(studio, limit=5, after=None)
    assert [row.image_key for row in listed.pictures] == keys


async def test_pictures_keep_their_copies_when_their_order_changes(studio: Studio) -> None:
    owner = await merchant(studio)
    sources = await uploads_of(studio, owner, "red", "blue", "green")
    await put_images(studio, owner, *sources)
    red, blue, green = await keys_of(studio)
    first, second, third = await urls_of(studio)
    await put_images(studio, owner, third, first, second)
    assert await keys_of(studio) == [green, red, blue] and await has_vector(studio)
    rows = (await find_product(studio, "p-1")).pictures
    assert [row.file_id for row in rows] == [sources[2], sources[0], sources[1]]
    assert embedded(studio) == 2 and await doomed(studio) == set()
    again = await uploads_of(studio, owner, "green", "blue")
    await put_images(studio, owner, *again)
    assert await keys_of(studio) == [green, blue] and embedded(studio) == 2
    assert await doomed(studio) == {red}
    assert [row.file_id for row in (await find_product(studio, "p-1")).pictures] == again


async def test_a_put_of_the_same_pictures_embeds_and_copies_none(studio: Studio) -> None:
    """A feed that is imported again writes the same pictures."""
    owner = await merchant(studio)
    await put_images(studio, owner, *await uploads_of(studio, owner, "red", "blue"))
    keys = await keys_of(studio)
    await put_images(studio, owner, *await uploads_of(studio, owner, "red", "blue"), price="5")
    assert await keys_of(studio) == keys and await copies(studio) == set(keys)
    assert embedded(studio) == 1


async def test_a_patch_of_pictures_replaces_all_of_them_and_nothing_else(studio: Studio) -> None:
    owner = await merchant(studio)
    await put_images(studio, owner, *await uploads_of(studio, owner, "red", "blue"), sku="R-1")
    former = await keys_of(studio)
    (green,) = await uploads_of(studio, owner, "green")
    patch = ProductPatch.model_validate({"fileId": green})
    product = await patch_product(studio, owner, "p-1", patch)
    assert (product.sku, product.file_id) == ("R-1", green)
    assert len(await keys_of(studio)) == 1 and await doomed(studio) == set(former)
    assert await has_vector(studio)
    with pytest.raises(NotFound, match="no product"):
        await patch_product(studio, owner, "p-2", patch)
    assert embedded(studio) == 2, "a product that isn't there needs no picture"


async def test_all_pictures_go_with_the_product(studio: Studio) -> None:
    owner = await merchant(studio)
    await put_images(studio, owner, *await uploads_of(studio, owner, "red", "blue"))
    url = (await urls_of(studio))[1]
    await delete_product(studio, owner, "p-1")
    assert await copies(studio) == set()
    with pytest.raises(NotFound):
        await load_image(studio, None, image_url=url, file_id=None)


async def test_an_upload_that_a_product_shows_anywhere_can_not_be_deleted(studio: Studio) -> None:
    owner = await merchant(studio)
    red, blue = await uploads_of(studio, owner, "red", "blue")
    await put_images(studio, owner, red, blue)
    with pytest.raises(Conflict, match="delete the product first"):
        await files.delete(studio, owner.id, blue, ip=None)
    await put_images(studio, owner, red)
    await files.delete(studio, owner.id, blue, ip=None)
    await repeat_erasure(studio, "file", str(red))
    with pytest.raises(NotFound):
        await find_product(studio, "p-1")


async def test_another_merchants_picture_is_copied_and_not_pinned(studio: Studio) -> None:
    owner, rival = await merchant(studio), await merchant(studio, "rival")
    sources = await uploads_of(studio, owner, "red", "blue")
    await put_images(studio, owner, *sources)
    names = [{"fileId": one} for one in sources]
    await put_product(studio, rival, "copied", form_of(images=names))
    shown = await find_product(studio, "copied")
    assert [row.file_id for row in shown.pictures] == [None, None]
    assert {row.image_key for row in shown.pictures}.isdisjoint(await keys_of(studio))


async def test_one_bad_picture_refuses_all_and_is_named(studio: Studio) -> None:
    owner, rival = await merchant(studio), await merchant(studio, "rival")
    red, blue = await uploads_of(studio, owner, "red", "blue")
    (foreign,) = await uploads_of(studio, rival, "green")
    await put_images(studio, owner, red)
    before = await keys_of(studio)
    with pytest.raises(NotFound, match="no such picture") as refusal:
        await put_images(studio, owner, blue, red, foreign)
    assert refusal.value.detail == "images/2: no such picture"
    key = f"uploads/{owner.id}/broken.jpg"
    await studio.blobs.put(key, b"\xff\xd8\xff nothing", "image/jpeg")
    async with studio.database.transaction() as session:
        row = await session.get(files.File, blue)
        assert row is not None
        row.blob_key = key
    with pytest.raises((NotAnImage, Invalid)) as unreadable:
        await put_images(studio, owner, red, blue)
    assert unreadable.value.detail.startswith("images/1: ")
    assert await keys_of(studio) == before
