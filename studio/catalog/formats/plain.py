"""A shop's own CSV: columns by the names of a PUT, or by the words that spreadsheets use for them.

A column that is none of these is kept as an attribute.
"""

import json
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from errors import Invalid
from studio.catalog.form import MAX_IMAGES
from studio.catalog.formats.delimited import DelimitedRows
from studio.catalog.formats.records import RawRecord, RawRecords, Record
from studio.catalog.formats.values import (
    add_attributes,
    column_key,
    read_price,
    read_yes,
    split_urls,
)

COLUMNS = {
    "id": "id productid artikelnummer",
    "title": "title name productname producttitle titel bezeichnung titre nom título titulo titolo",
    "description": "description beschreibung descripción descripcion descrizione",
    "category": "category kategorie catégorie categorie categoría categoria producttype",
    "brand": "brand marke marque marca vendor manufacturer hersteller",
    "sku": "sku",
    "groupId": "groupid itemgroupid group parentid",
    "url": "url link producturl",
    "price": "price preis prix precio prezzo",
    "salePrice": "saleprice specialprice aktionspreis angebotspreis",
    "listPrice": "listprice compareatprice uvp msrp",
    "currency": "currency währung waehrung devise moneda divisa valuta",
    "inStock": "instock stock availability quantity qty lagernd auflager bestand lagerbestand",
    "imageUrl": "imageurl image imagelink picture bild bildurl photo foto image1",
    "images": "images imageurls additionalimagelink additionalimages pictures bilder",
    "fileId": "fileid",
    "attributes": "attributes",
}
FIELD_OF = {key: name for name, keys in COLUMNS.items() for key in keys.split()}
ATTRIBUTE_OF = {"color": "colour", "colour": "colour", "farbe": "colour", "couleur": "colour"}
PICTURE_FIELDS = ("imageUrl", "images")
PREFIX = "attributes."
CURRENCY_IN_NAME = re.compile(r"(.*?)\s*[(\[]\s*([A-Za-z]{3}|[€£])\s*[)\]]")


def read_plain(rows: DelimitedRows, currency: str | None) -> RawRecords:
    """The rows as products.

    `currency`: of rows that name none.

    Raises:
        Invalid: two columns mean the same field.
    """
    columns = {name: _field_of(name) for name in rows.names if name}
    _check_fields(columns)
    return _records(rows, columns, currency)


def _records(
    rows: DelimitedRows, columns: Mapping[str, tuple[str | None, str | None]], currency: str | None
) -> RawRecords:
    for row in rows:
        read = partial(_to_record, row.cells, columns, currency, rows.has_decimal_comma)
        product_id = next((row.cells[n] for n in row.cells if columns[n][0] == "id"), None)
        yield RawRecord(row.number, None if row.error else read, row.error, product_id)


def _field_of(column: str) -> tuple[str | None, str | None]:
    """The field that a column means, and the currency in its name, as in "price (EUR)"."""
    match = CURRENCY_IN_NAME.fullmatch(column)
    name, currency = (match[1], match[2]) if match else (column, None)
    return FIELD_OF.get(column_key(name)), currency


def _check_fields(columns: Mapping[str, tuple[str | None, str | None]]) -> None:
    first: dict[str, str] = {}
    for column, (name, _) in columns.items():
        if name is not None and first.setdefault(name, column) != column:
            raise Invalid(f"the columns {first[name]} and {column} both mean {name}")


def _to_record(
    cells: dict[str, str],
    columns: Mapping[str, tuple[str | None, str | None]],
    currency: str | None,
    has_decimal_comma: bool,
) -> Record:
    texts: dict[str, str] = {}
    others: dict[str, list[str]] = {}
    for column, cell in cells.items():
        name, own_currency = columns[column]
        if name is None:
            others[column] = [cell.strip()]
        else:
            texts[name] = cell
            if own_currency:
                texts.setdefault("currency", own_currency)
    fields: dict[str, Any] = {
        name: texts[name]
        for name in ("id", "title", "description", "category", "brand", "sku", "groupId", "url")
        if name in texts
    }
    fields |= read_prices(texts, texts.get("currency") or currency, has_decimal_comma)
    if "inStock" in texts:
        fields["inStock"] = read_yes(texts["inStock"], "inStock")
    if texts.get("images", "").startswith("["):  # a JSON array, as in JSON lines
        fields["images"] = texts.pop("images")
    pictures, surplus = picture_fields(split_urls(texts.get(n, "") for n in PICTURE_FIELDS))
    fields |= pictures
    if "fileId" in texts:
        fields["fileId"] = texts["fileId"]
    attributes = _read_attributes(texts.get("attributes"))
    ignored = add_attributes(attributes, {_rename(name): text for name, text in others.items()})
    if attributes:
        fields["attributes"] = attributes
    return Record(0, fields, ignored=ignored | surplus)


def read_prices(
    texts: Mapping[str, str], currency: str | None, has_decimal_comma: bool
) -> dict[str, Any]:
    """`price`, `listPrice` and `currency` of a row: a sale price is the price."""
    read = partial(read_price, currency=currency, has_decimal_comma=has_decimal_comma)
    prices = {
        name: read(texts[name]) for name in ("price", "salePrice", "listPrice") if name in texts
    }
    if not prices:
        return {} if currency is None else {"currency": currency}
    if len({code for _, code in prices.values()}) > 1:
        raise Invalid("price: the prices of the row have different currencies")
    sale, regular = prices.get("salePrice"), prices.get("price")
    price = sale or regular
    former = prices.get("listPrice") or (regular if sale else None)
    fields = {"currency": next(iter(prices.values()))[1]}
    if price is not None:
        fields["price"] = price[0]
        if former is not None and float(former[0]) > float(price[0]):
            fields["listPrice"] = former[0]
    return fields


def picture_fields(urls: list[str]) -> tuple[dict[str, Any], frozenset[str]]:
    """The field that names one picture or several, and what is ignored where there are too many."""
    ignored = frozenset({f"pictures after the first {MAX_IMAGES}"} if urls[MAX_IMAGES:] else ())
    if len(urls) > 1:
        return {"images": [{"imageUrl": url} for url in urls[:MAX_IMAGES]]}, ignored
    return {"imageUrl": urls[0]} if urls else {}, ignored


def _rename(column: str) -> str:
    name = column[len(PREFIX) :] if column.lower().startswith(PREFIX) else column
    return ATTRIBUTE_OF.get(column_key(name), name) or column


def _read_attributes(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        attributes = json.loads(text)
    except (ValueError, RecursionError):
        raise Invalid("attributes: not a JSON object") from None
    if not isinstance(attributes, dict):
        raise Invalid("attributes: not a JSON object")
    return attributes
