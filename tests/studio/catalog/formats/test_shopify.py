"""Shopify's CSV: rows of one handle become the variants of one group."""

from studio.catalog.form import read_line
from studio.catalog.formats.records import Record
from studio.catalog.formats.shopify import MAX_ROWS, is_shopify_header
from tests.studio.catalog.formats.test_source import PICTURE, read

HEADER = (
    "Handle,Title,Body (HTML),Vendor,Product Category,Type,Tags,Published,Option1 Name,"
    "Option1 Value,Option2 Name,Option2 Value,Variant SKU,Variant Inventory Qty,"
    "Variant Inventory Policy,Variant Price,Variant Compare At Price,Image Src,Image Position,"
    "Status,SEO Title"
)


def row(**cells: str) -> str:
    names = {name.replace(" ", "_").replace("(", "").replace(")", ""): name
             for name in HEADER.split(",")}  # fmt: skip
    by_name = {names[key]: value for key, value in cells.items()}
    return ",".join(f'"{by_name.get(name, "")}"' for name in HEADER.split(","))


COAT = [
    row(Handle="coat", Title="Wool coat", Body_HTML="<p>Warm &amp; long.</p>", Vendor="Acme",
        Product_Category="Apparel > Coats", Type="Coat", Tags="winter, sale", Published="TRUE",
        Option1_Name="Size", Option1_Value="S", Option2_Name="Color", Option2_Value="Camel",
        Variant_SKU="WC/S", Variant_Inventory_Qty="2", Variant_Price="199.00",
        Variant_Compare_At_Price="249.00", Image_Src=f"{PICTURE}?2", Image_Position="2",
        Status="active", SEO_Title="x"),
    row(Handle="coat", Option1_Value="M", Option2_Value="Camel", Variant_Inventory_Qty="0",
        Variant_Price="199.00", Image_Src=f"{PICTURE}?1", Image_Position="1"),
    row(Handle="coat", Image_Src=f"{PICTURE}?3", Image_Position="3"),
]  # fmt: skip


def records_of(*rows: str) -> list[Record]:
    return read("\n".join([HEADER, *rows]).encode(), currency="EUR")


def test_variants_share_what_the_first_row_says() -> None:
    small, medium = records_of(*COAT)
    shared = {
        "title": "Wool coat", "brand": "Acme", "groupId": "coat", "category": "Coat",
        "description": "Warm & long.", "currency": "EUR", "price": "199.00",
        "images": [{"imageUrl": f"{PICTURE}?{number}"} for number in (1, 2, 3)],
    }  # fmt: skip
    attributes = {"tags": ["winter", "sale"], "productCategory": "Apparel > Coats"}
    assert small.fields == shared | {
        "id": "WC-S", "sku": "WC/S", "listPrice": "249.00", "inStock": True,
        "attributes": attributes | {"size": "S", "colour": "Camel"},
    }  # fmt: skip
    assert medium.fields == shared | {
        "id": "coat-M-Camel", "inStock": False,
        "attributes": attributes | {"size": "M", "colour": "Camel"},
    }  # fmt: skip
    assert (small.number, medium.number) == (2, 3)
    assert small.ignored == {"SEO Title"}
    assert all(read_line(record.fields or {}) for record in (small, medium))


def test_what_is_not_for_sale_is_left_out_and_named() -> None:
    first = row(Handle="a", Title="A", Type="Hat", Variant_Price="1", Status="draft")
    second = row(Handle="b", Title="B", Type="Hat", Variant_Price="1", Published="FALSE")
    draft, hidden = records_of(first, second)
    assert draft.reason == "left out: its status is draft" and draft.product_id == "a"
    assert hidden.reason == "left out: it is not published"


def test_a_product_without_options_and_a_policy_that_sells_on() -> None:
    only = row(Handle="hat", Title="Hat", Type="Hat", Option1_Name="Title",
               Option1_Value="Default Title", Variant_Price="5", Variant_Inventory_Qty="0",
               Variant_Inventory_Policy="continue", Image_Src=PICTURE)  # fmt: skip
    (record,) = records_of(only)
    fields = record.fields or {}
    assert fields["id"] == "hat" and fields["inStock"] and fields["imageUrl"] == PICTURE
    assert fields["attributes"] == {}


def test_a_bad_row_stands_alone() -> None:
    good, bad, again = records_of(COAT[0], "too,short", COAT[0].replace("coat", "cape"))
    assert "2 cells" in str(bad.error) and good.fields and again.fields
    no_price = row(Handle="x", Title="X", Type="Hat", Variant_Price="free", Variant_SKU="X-1")
    (record,) = records_of(no_price)
    assert "price: 'free' is not a price" in str(record.error) and record.product_id == "X-1"


def test_groups_are_bounded() -> None:
    variant = row(Handle="coat", Option1_Value="L", Variant_Price="1")
    assert len(records_of(*COAT[:1], *[variant] * MAX_ROWS)) == MAX_ROWS + 1
    assert is_shopify_header(HEADER.split(",")) and not is_shopify_header(["Handle", "Title"])
