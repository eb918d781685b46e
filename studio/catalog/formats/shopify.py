"""Shopify's product CSV: several rows a product, one a variant or picture, joined by the handle.

After Shopify's description of its product CSV; https://help.shopify.com/manual/products/import-export.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from errors import Invalid
from studio.catalog.formats.delimited import DelimitedRows, Row
from studio.catalog.formats.html_text import html_to_text
from studio.catalog.formats.plain import picture_fields, read_prices
from studio.catalog.formats.records import RawRecord, RawRecords, Record
from studio.catalog.formats.values import (
    add_attributes,
    attribute_name,
    column_key,
    read_yes,
    to_product_id,
)

MAX_ROWS = 2_500
"""Rows of one product: Shopify allows 2,048 variants and 250 pictures."""
VARIANT_COLUMNS = (
    "Variant SKU", "Option1 Value", "Option2 Value", "Option3 Value", "Variant Price",
)  # fmt: skip
TEXT_FIELDS = {"Title": "title", "Vendor": "brand", "Handle": "groupId"}
PRICE_FIELDS = {"Variant Price": "price", "Variant Compare At Price": "listPrice"}
USED = {
    *VARIANT_COLUMNS, *TEXT_FIELDS, *PRICE_FIELDS, "Body (HTML)", "Product Category", "Type",
    "Tags", "Published", "Status", "Option1 Name", "Option2 Name", "Option3 Name",
    "Variant Inventory Qty", "Variant Inventory Policy", "Variant Inventory Tracker",
    "Image Src", "Image Position",
    "Variant Image", "Variant Barcode",
}  # fmt: skip
RENAMED = {"color": "colour"}


def is_shopify_header(names: Iterable[str]) -> bool:
    """Whether a header is that of Shopify's product CSV."""
    return {"Handle", "Title", "Variant Price"} <= set(names)


def read_shopify(rows: DelimitedRows, currency: str | None) -> RawRecords:
    """The variants as products. `currency`: of all prices, which the file does not name."""
    ignored = frozenset(name for name in rows.names if name and name not in USED)
    for group in _groups(rows):
        if group[0].error:
            yield RawRecord(group[0].number, error=group[0].error)
            continue
        head = group[0].cells
        for row in group:
            if any(name in row.cells for name in VARIANT_COLUMNS) or row is group[0]:
                read = partial(_to_record, head, row.cells, group, currency, ignored)
                yield RawRecord(row.number, read, None, find_id(head, row.cells))


def _groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Successive rows with the same handle; a row that can't be read stands alone."""
    group: list[Row] = []
    for row in rows:
        is_next = bool(group) and row.cells.get("Handle") == group[0].cells.get("Handle")
        if row.error or not is_next or len(group) >= MAX_ROWS:
            if group:
                yield group
            group = []
        if row.error:
            yield [row]
        else:
            group.append(row)
    if group:
        yield group


def _to_record(
    head: dict[str, str],
    variant: dict[str, str],
    group: Sequence[Row],
    currency: str | None,
    ignored: frozenset[str],
) -> Record:
    if reason := _reason_to_leave_out(head):
        return Record(0, reason=reason)
    options = _read_options(head, variant)
    fields: dict[str, Any] = {
        field: head[name] for name, field in TEXT_FIELDS.items() if name in head
    }
    fields |= _read_id(head, variant) | _read_category(head)
    if "Body (HTML)" in head:
        fields["description"] = html_to_text(head["Body (HTML)"])
    prices = {field: variant[name] for name, field in PRICE_FIELDS.items() if name in variant}
    fields |= read_prices(prices, currency, has_decimal_comma=False)
    fields["inStock"] = _is_in_stock(variant)
    pictures, surplus = picture_fields(_pictures(variant, group))
    fields |= pictures
    attributes: dict[str, Any] = dict(options)
    if tags := [tag.strip() for tag in head.get("Tags", "").split(",") if tag.strip()]:
        attributes["tags"] = tags
    own = {"productCategory": head.get("Product Category"), "gtin": variant.get("Variant Barcode")}
    ignored |= add_attributes(attributes, {name: [text] for name, text in own.items() if text})
    return Record(0, fields | {"attributes": attributes}, ignored=ignored | surplus)


def _reason_to_leave_out(head: dict[str, str]) -> str | None:
    status = head.get("Status", "active").strip().casefold()
    if status != "active":
        return f"left out: its status is {status[:40]}"
    if not read_yes(head.get("Published", "true"), "Published"):
        return "left out: it is not published"
    return None


def _read_options(head: dict[str, str], variant: dict[str, str]) -> dict[str, str]:
    """The variant's options by name: the names are in the product's first row."""
    options: dict[str, str] = {}
    for number in (1, 2, 3):
        name = head.get(f"Option{number} Name", "").strip()
        value = variant.get(f"Option{number} Value", "").strip()
        if name and value and (column_key(name), value) != ("title", "Default Title"):
            options[RENAMED.get(column_key(name)) or attribute_name(name)] = value
    return options


def find_id(head: dict[str, str], variant: dict[str, str]) -> str | None:
    """The SKU as an id; a variant without one has the handle and its options."""
    if sku := _sku(variant):
        return to_product_id(sku)
    if not head.get("Handle"):
        return None
    return to_product_id("-".join([head["Handle"], *_read_options(head, variant).values()]))


def _sku(variant: dict[str, str]) -> str:
    return variant.get("Variant SKU", "").strip().removeprefix("'")


def _read_id(head: dict[str, str], variant: dict[str, str]) -> dict[str, str]:
    product_id, sku = find_id(head, variant), _sku(variant)
    if product_id is None:
        raise Invalid("Handle: missing")
    return {"id": product_id} | ({"sku": sku} if sku else {})


def _read_category(head: dict[str, str]) -> dict[str, str]:
    category = head.get("Type") or head.get("Product Category", "").split(">")[-1]
    return {"category": category.strip()} if category.strip() else {}


def _is_in_stock(variant: dict[str, str]) -> bool:
    if variant.get("Variant Inventory Policy", "deny").strip().casefold() == "continue":
        return True
    quantity = variant.get("Variant Inventory Qty")
    return quantity is None or read_yes(quantity, "Variant Inventory Qty")


def _pictures(variant: dict[str, str], group: Sequence[Row]) -> list[str]:
    """The variant's own picture, then the product's in the order of their positions."""
    shared = [
        (_position(row.cells.get("Image Position")), row.cells["Image Src"].strip())
        for row in group
        if "Image Src" in row.cells
    ]
    urls = [url for _, url in sorted(shared, key=lambda pair: pair[0])]
    own = variant.get("Variant Image", "").strip()
    return list(dict.fromkeys([own, *urls] if own else urls))


def _position(text: str | None) -> int:
    return int(text) if text and text.strip().isascii() and text.strip().isdigit() else MAX_ROWS
