"""The forms of PUT and PATCH: pictures named in one way, sales, and merges of JSON."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from db.tables import Product
from errors import Invalid
from studio.catalog.form import ProductForm, ProductPatch, read_line

FIELDS = {"title": "Coat", "category": "coat", "price": "20", "currency": "EUR"}
FILE = str(uuid4())


def stored(**changes: Any) -> Product:
    values = {
        "id": "p-1", "title": "Coat", "description": "Warm", "category": "coat", "brand": "North",
        "sku": "C-1", "group_id": "coats", "url": "https://shop.example/c", "price": Decimal(20),
        "list_price": Decimal(30), "currency": "EUR", "in_stock": True,
        "attributes": {"colour": "red", "size": ["S"]}, "image_key": "k", "image_sha256": "s",
        "change_seq": 1,
    }  # fmt: skip
    return Product(**values | changes)


def columns(patch: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The columns that a patch writes."""
    return ProductPatch.model_validate(patch).to_columns(stored(**changes))


@pytest.mark.parametrize(
    "names",
    [
        {},
        {"imageUrl": "https://x.example/a.jpg", "fileId": FILE},
        {"fileId": FILE, "images": [{"fileId": FILE}]},
        {"images": []},
        {"images": [{"fileId": FILE}] * 9},
        {"images": [{}]},
        {"images": [{"fileId": FILE, "imageUrl": "https://x.example/a.jpg"}]},
        {"images": [{"fileId": FILE, "alt": "front"}]},
    ],
)
def test_a_put_names_its_pictures_in_one_way(names: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ProductForm.model_validate(FIELDS | names)


def test_one_picture_and_several_are_the_same_kind() -> None:
    one = ProductForm.model_validate(FIELDS | {"fileId": FILE})
    several = ProductForm.model_validate(FIELDS | {"images": [{"fileId": FILE}]})
    assert one.pictures == several.pictures and one.to_columns() == several.to_columns()
    eight = ProductForm.model_validate(FIELDS | {"images": [{"fileId": FILE}] * 8})
    assert len(eight.pictures) == 8


@pytest.mark.parametrize("list_price", ["20", "19.99", "0"])
def test_a_list_price_is_above_the_price(list_price: str) -> None:
    sale = FIELDS | {"fileId": FILE, "listPrice": list_price}
    with pytest.raises(ValidationError, match="above price"):
        ProductForm.model_validate(sale)
    with pytest.raises(Invalid, match="above price"):
        columns({"listPrice": list_price})


@pytest.mark.parametrize("field", ["brand", "sku", "groupId"])
@pytest.mark.parametrize("value", ["", " ", "x" * 201, 1])
def test_names_of_a_product_are_short_texts(field: str, value: Any) -> None:
    for form in (ProductForm, ProductPatch):
        with pytest.raises(ValidationError, match=field):
            form.model_validate(FIELDS | {"fileId": FILE, field: value})


def test_a_patch_writes_what_it_names() -> None:
    assert columns({}) == {}
    assert columns({"price": "21.50"}) == {"price": Decimal("21.50")}
    assert columns({"inStock": False, "title": "New"}) == {"in_stock": False, "title": "New"}


def test_null_clears_an_optional_field() -> None:
    names = ("description", "brand", "sku", "groupId", "url", "listPrice")
    cleared = columns(dict.fromkeys(names))
    assert set(cleared) == {"description", "brand", "sku", "group_id", "url", "list_price"}
    assert set(cleared.values()) == {None}
    assert columns({"attributes": None}) == {"attributes": {}}


@pytest.mark.parametrize(
    "patch",
    [
        {"title": None}, {"category": None}, {"price": None}, {"currency": None},
        {"inStock": None}, {"images": None}, {"fileId": None}, {"imageUrl": None},
        {"unknown": 1}, {"id": "p-2"}, {"price": "-1"}, {"attributes": {"a": {}}},
        {"attributes": {"": "x"}}, {"images": []}, {"fileId": FILE, "images": [{"fileId": FILE}]},
    ],
)  # fmt: skip
def test_a_patch_that_makes_no_product_is_refused(patch: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ProductPatch.model_validate(patch)


def test_attributes_are_merged_name_by_name() -> None:
    patch = {"attributes": {"size": ["S", "M"], "colour": None, "fit": "slim", "none": None}}
    assert columns(patch)["attributes"] == {"size": ["S", "M"], "fit": "slim"}
    full = {f"name-{place}": place for place in range(50)}
    replaced = columns({"attributes": {"name-0": None, "one more": 1}}, attributes=full)
    assert len(replaced["attributes"]) == 50
    with pytest.raises(Invalid, match="would have 51"):
        columns({"attributes": {"one more": 1}}, attributes=full)


@pytest.mark.parametrize(("price", "list_price"), [("29.99", 30), ("30", None), ("31", None)])
def test_a_sale_ends_where_the_price_rises_to_the_list_price(
    price: str, list_price: int | None
) -> None:
    values = columns({"price": price})
    assert values.get("list_price", Decimal(30)) == list_price


def test_a_cell_of_csv_can_name_several_pictures() -> None:
    images = f'[{{"fileId": "{FILE}"}}, {{"imageUrl": "https://x.example/a.jpg"}}]'
    line = read_line(FIELDS | {"images": images, "listPrice": "30", "groupId": "coats"})
    assert [picture.image_url for picture in line.pictures] == [None, "https://x.example/a.jpg"]
    assert (line.list_price, line.group_id) == (30, "coats")
    with pytest.raises(Invalid, match="images: not a JSON array"):
        read_line(FIELDS | {"images": "a.jpg; b.jpg"})


def test_a_patch_has_no_field_that_a_put_lacks() -> None:
    assert ProductPatch.model_fields.keys() == ProductForm.model_fields.keys()
    schema = ProductPatch.model_json_schema()
    assert "required" not in schema
    assert "default" not in schema["properties"]["price"]
