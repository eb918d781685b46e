"""Google Merchant feeds: each column has its place, or is named as ignored."""

from datetime import UTC, datetime, timedelta

import pytest

from errors import Invalid
from studio.catalog.form import read_line
from studio.catalog.formats.google import is_google_header, is_on_sale, to_record
from studio.catalog.formats.records import Record
from tests.studio.catalog.formats.test_source import PICTURE, read

ITEM = {
    "id": ["SKU/7"], "title": ["Rib tee"], "description": ["Soft"], "link": ["https://a.example/7"],
    "image_link": [PICTURE], "additional_image_link": [f"{PICTURE}?2", f"{PICTURE}?3"],
    "availability": ["in_stock"], "price": ["29.00 USD"], "sale_price": ["19.00 USD"],
    "brand": ["North & Co"], "gtin": ["4006381333931"], "item_group_id": ["rib"],
    "color": ["Off White/Black"], "size": ["S"], "gender": ["female"], "age_group": ["adult"],
    "material": ["cotton"], "pattern": ["striped"], "product_type": ["Women > Tops > T-shirts"],
    "shipping": ["US:::5 USD"], "custom_label_0": ["margin"], "heel_height": ["3 cm"],
}  # fmt: skip


def change(**values: str) -> Record:
    return to_record(ITEM | {name: [value] for name, value in values.items() if value}, None)


def test_every_column_has_its_place() -> None:
    record = to_record(ITEM, None)
    assert record.fields == {
        "id": "SKU-7", "sku": "SKU/7", "title": "Rib tee", "description": "Soft",
        "url": "https://a.example/7", "brand": "North & Co", "groupId": "rib",
        "category": "T-shirts", "price": "19.00", "listPrice": "29.00", "currency": "USD",
        "inStock": True,
        "images": [{"imageUrl": f"{PICTURE}{end}"} for end in ("", "?2", "?3")],
        "attributes": {
            "colour": ["Off White", "Black"], "size": "S", "gender": "female",
            "ageGroup": "adult", "material": "cotton", "pattern": "striped",
            "gtin": "4006381333931", "productType": "Women > Tops > T-shirts",
            "heelHeight": "3 cm",
        },
    }  # fmt: skip
    assert record.ignored == {"shipping", "custom label 0"}
    assert read_line(record.fields).id == "SKU-7"


def test_a_delimited_feed_and_its_xml_are_the_same() -> None:
    names = [name for name in ITEM if name != "additional_image_link"]
    header = "\t".join(name.replace("_", " ") for name in names)
    row = "\t".join(ITEM[name][0] for name in names)
    (delimited,) = read(f"{header}\n{row}\n".encode())
    elements = "".join(
        f"<g:{name}>{ITEM[name][0].replace('&', '&amp;').replace('>', '&gt;')}</g:{name}>"
        for name in names
    )
    (item,) = read(f"<rss xmlns:g='urn:g'><item>{elements}</item></rss>".encode())
    assert delimited.fields == item.fields and delimited.ignored == item.ignored


def test_a_feed_is_known_by_its_columns() -> None:
    assert is_google_header(["id", "title", "image link", "availability"])
    assert is_google_header(["g:id", "g:title", "g:image_link", "g:availability"])
    assert not is_google_header(["id", "title", "imageUrl", "inStock"])


def test_a_sale_has_its_time() -> None:
    now = datetime.now(UTC)
    early, late = (now - timedelta(days=1)).isoformat(), (now + timedelta(days=1)).isoformat()
    assert is_on_sale(None) and is_on_sale(f"{early}/{late}") and not is_on_sale(f"{late}/{late}")
    fields = change(sale_price_effective_date=f"{late}/{late}").fields or {}
    assert fields["price"] == "29.00" and "listPrice" not in fields
    with pytest.raises(Invalid, match="sale_price_effective_date"):
        is_on_sale("soon")


def test_the_category_is_the_last_of_its_path() -> None:
    google = to_record(
        {"id": ["a"], "google_product_category": ["Apparel > Shoes"], "price": ["1 EUR"]}, None
    )
    assert (google.fields or {})["category"] == "Shoes"
    number = to_record({"id": ["a"], "google_product_category": ["187"]}, None)
    assert "category" not in (number.fields or {})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"price": "29.00"}, "currency: the file names none"),
        ({"availability": "perhaps"}, "availability: 'perhaps'"),
        ({"price": "29 USD", "sale_price": "19 EUR"}, "different currencies"),
    ],
)
def test_a_bad_value_is_named(values: dict[str, str], said: str) -> None:
    with pytest.raises(Invalid, match=said):
        change(**values)
