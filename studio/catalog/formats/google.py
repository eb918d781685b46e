"""Google Merchant feeds: tab- or comma-separated, RSS or Atom.

After Google's product data specification; https://support.google.com/merchants/answer/7052112.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from errors import Invalid
from studio.catalog.formats.delimited import DelimitedRows
from studio.catalog.formats.plain import picture_fields, read_prices
from studio.catalog.formats.records import RawRecord, RawRecords, Record, Values
from studio.catalog.formats.values import (
    add_attributes,
    column_key,
    read_yes,
    split_urls,
    to_product_id,
)
from studio.catalog.formats.xml_items import XmlItem

TEXT_FIELDS = {
    "title": "title",
    "description": "description",
    "brand": "brand",
    "item group id": "groupId",
    "link": "url",
}
PRICE_FIELDS = {"price": "price", "sale price": "salePrice"}
CATEGORY_COLUMNS = ("product type", "google product category")
PICTURE_COLUMNS = ("image link", "additional image link")
ATTRIBUTES = {
    "size": "size",
    "gender": "gender",
    "age group": "ageGroup",
    "material": "material",
    "pattern": "pattern",
    "gtin": "gtin",
    "mpn": "mpn",
    "condition": "condition",
    "size system": "sizeSystem",
    "size type": "sizeType",
    "product type": "productType",
    "google product category": "googleProductCategory",
}
IGNORED = (
    "shipping", "shipping weight", "shipping label", "shipping length", "shipping width",
    "shipping height", "tax", "tax category", "ads redirect", "mobile link", "cost of goods sold",
    "custom label 0", "custom label 1", "custom label 2", "custom label 3", "custom label 4",
    "identifier exists", "adult", "availability date", "expiration date", "promotion id",
    "included destination", "excluded destination", "updated", "published", "summary", "guid",
    "pub date",
)  # fmt: skip
USED = {
    "id", "availability", "color", "sale price effective date", *TEXT_FIELDS, *PRICE_FIELDS,
    *CATEGORY_COLUMNS,
}  # fmt: skip
NAMES = {column_key(name): name for name in (*USED, *PICTURE_COLUMNS, *ATTRIBUTES, *IGNORED)}


def is_google_header(names: Iterable[str]) -> bool:
    """Whether a header has the columns that a Google Merchant feed needs."""
    keys = {column_key(name.removeprefix("g:")) for name in names}
    return {"id", "title", "imagelink", "availability"} <= keys


def read_google_rows(rows: DelimitedRows, currency: str | None) -> RawRecords:
    """The rows of a delimited feed as products. `currency`: of rows that name none."""
    for row in rows:
        values = {name: [cell] for name, cell in row.cells.items()}
        read = partial(to_record, values, currency)
        yield RawRecord(row.number, None if row.error else read, row.error, find_id(values))


def read_google_items(items: Iterable[XmlItem], currency: str | None) -> RawRecords:
    """The items of an RSS or Atom feed as products. `currency`: of items that name none."""
    for item in items:
        read = partial(to_record, item.values, currency)
        yield RawRecord(item.number, None if item.error else read, item.error, find_id(item.values))


def to_record(values: Values, currency: str | None) -> Record:
    """An item of a feed as a product.

    Raises:
        Invalid: a value can't be read, or something that the catalogue needs is missing.
    """
    named, others = _by_name(values)
    first = {name: texts[0].strip() for name, texts in named.items()}
    fields: dict[str, Any] = {
        field: first[name] for name, field in TEXT_FIELDS.items() if name in first
    }
    fields |= _read_id(first) | _read_category(first)
    prices = {field: first[name] for name, field in PRICE_FIELDS.items() if name in first}
    if "salePrice" in prices and not is_on_sale(first.get("sale price effective date")):
        del prices["salePrice"]
    fields |= read_prices(prices, currency, has_decimal_comma=False)
    if "availability" in first:
        fields["inStock"] = read_yes(first["availability"], "availability")
    urls = split_urls(text for name in PICTURE_COLUMNS for text in named.get(name, ()))
    pictures, surplus = picture_fields(urls)
    attributes, ignored = _read_attributes(named, others)
    return Record(0, fields | pictures | {"attributes": attributes}, ignored=ignored | surplus)


def find_id(values: Values) -> str | None:
    """The product's id, whatever else the item has."""
    texts = values.get("id") or values.get("g:id") or values.get("ID")
    return to_product_id(texts[0]) if texts else None


def _by_name(values: Values) -> tuple[Values, Values]:
    """The values of known columns by Google's names, and those of others by their own."""
    named: Values = {}
    others: Values = {}
    for column, texts in values.items():
        name = NAMES.get(column_key(column.removeprefix("g:")))
        target, key = (others, column) if name is None else (named, name)
        target.setdefault(key, []).extend(text.strip() for text in texts)
    return named, others


def _read_id(first: Mapping[str, str]) -> dict[str, str]:
    if "id" not in first:
        raise Invalid("id: missing")
    product_id = to_product_id(first["id"])
    return {"id": product_id} | ({"sku": first["id"]} if product_id != first["id"] else {})


def _read_category(first: Mapping[str, str]) -> dict[str, str]:
    for name in CATEGORY_COLUMNS:
        last = first.get(name, "").split(">")[-1].strip()
        if last and not last.isdigit():
            return {"category": last}
    return {}


def _read_attributes(named: Values, others: Values) -> tuple[dict[str, Any], frozenset[str]]:
    attributes: dict[str, Any] = {}
    if "color" in named:
        colours = [part.strip() for text in named["color"] for part in text.split("/")]
        colours = [colour for colour in colours if colour]
        attributes["colour"] = colours[0] if len(colours) == 1 else colours
    own = {field: named[name] for name, field in ATTRIBUTES.items() if name in named}
    ignored = add_attributes(attributes, own) | add_attributes(attributes, others)
    return attributes, ignored | {name for name in IGNORED if name in named}


def is_on_sale(interval: str | None) -> bool:
    """Whether now is within the interval of a sale, "start/end" in ISO 8601; no interval: always.

    Raises:
        Invalid: it is not such an interval.
    """
    if not interval:
        return True
    try:
        start, end = (datetime.fromisoformat(part.strip()) for part in interval.split("/"))
        zoned = [at if at.tzinfo else at.replace(tzinfo=UTC) for at in (start, end)]
    except ValueError:
        raise Invalid("sale_price_effective_date: not two times, as START/END") from None
    return zoned[0] <= datetime.now(UTC) <= zoned[1]
