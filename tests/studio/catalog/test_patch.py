"""A PATCH changes what it names, reads no picture for that, and takes part in the live index."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from db.catalog import newest_change_seq
from db.tables import Product
from errors import Invalid, NotFound
from studio.catalog.catalog import Owner, patch_product, put_product
from studio.catalog.form import ProductPatch
from studio.catalog.shown import find_product
from studio.ports import Studio
from tests.studio.catalog.test_catalog import form_of, has_vector, merchant, put_upload
from tests.support.fakes import FakeEmbedder

PRODUCTS = 100


async def patch(studio: Studio, owner: Owner, product_id: str, **fields: Any) -> Product:
    return await patch_product(studio, owner, product_id, ProductPatch.model_validate(fields))


async def newest_change(studio: Studio) -> int:
    async with studio.database.read() as session:
        return await newest_change_seq(session)


async def put_one(studio: Studio, owner: Owner, product_id: str = "p-1", **fields: Any) -> Product:
    file_id = await put_upload(studio, owner, "red")
    return (await put_product(studio, owner, product_id, form_of(fileId=file_id, **fields)))[0]


async def test_new_prices_embed_nothing_and_read_no_picture(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await merchant(studio)
    file_id = await put_upload(studio, owner, "red")
    for place in range(PRODUCTS):
        await put_product(studio, owner, f"p-{place}", form_of(fileId=file_id))
    assert isinstance(studio.embedder, FakeEmbedder)
    before, change = studio.embedder.images_embedded, await newest_change(studio)
    assert before == PRODUCTS
    with monkeypatch.context() as patched:
        for name in ("get", "put"):
            patched.setattr(studio.blobs, name, lambda *_: 1 / 0)
        work = (
            patch(studio, owner, f"p-{place}", price=f"{place}.25") for place in range(PRODUCTS)
        )
        await asyncio.gather(*work)
    assert studio.embedder.images_embedded == before
    assert await newest_change(studio) == change + PRODUCTS, "each is a change for the indexes"
    for place in range(0, PRODUCTS, 10):
        product = (await find_product(studio, f"p-{place}")).product
        assert product.price == Decimal(f"{place}.25") and product.in_stock
        assert await has_vector(studio, product.id)


async def test_a_patch_that_changes_nothing_is_no_change(studio: Studio) -> None:
    owner = await merchant(studio)
    before = await put_one(studio, owner, attributes={"size": ["M"]}, sku="S-1")
    change, updated_at = await newest_change(studio), before.updated_at
    for fields in ({}, {"price": "9.990"}, {"attributes": {"size": ["M"]}}, {"sku": "S-1"}):
        product = await patch(studio, owner, "p-1", **fields)
        assert (product.change_seq, product.updated_at) == (change, updated_at)
    product = await patch(studio, owner, "p-1", sku=None)
    assert product.change_seq > change and product.updated_at > updated_at
    assert product.created_at == before.created_at


async def test_a_patch_that_fails_changes_nothing(studio: Studio) -> None:
    owner, rival = await merchant(studio), await merchant(studio, "rival")
    await put_one(studio, owner)
    change = await newest_change(studio)
    with pytest.raises(Invalid, match="above price"):
        await patch(studio, owner, "p-1", title="New", listPrice="1")
    for who, product_id in ((rival, "p-1"), (owner, "nothing")):
        with pytest.raises(NotFound, match="there is no product"):
            await patch(studio, who, product_id, title="New")
    assert await newest_change(studio) == change
    admin = Owner(rival.id, is_admin=True)
    assert (await patch(studio, admin, "p-1", title="New")).owner_id == owner.id


async def test_patches_of_different_fields_at_once_all_land(studio: Studio) -> None:
    owner = await merchant(studio)
    await put_one(studio, owner)
    names = [f"name-{place}" for place in range(10)]
    work = [patch(studio, owner, "p-1", attributes={name: name}) for name in names]
    await asyncio.gather(*work, patch(studio, owner, "p-1", price="1"))
    product = (await find_product(studio, "p-1")).product
    assert product.attributes == {name: name for name in names} and product.price == 1
