"""Finds the products of sales rows in the catalogue, and embeds pictures without a vector."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from db.catalog import get_embeddings, get_products
from db.tables import Product
from errors import DeadlinePassed, Invalid, NotFound, RateLimited, StudioError, Unavailable
from models.embedder.shapes import unpack_vector
from models.sales.columns import Sales
from models.sales.scoring import columns_of
from models.sales.shapes import Offer
from studio.files.files import load_image
from studio.job_types import Progress
from studio.ports import Studio
from studio.sales.csv_file import MOST_PRODUCTS, RowErrors, SalesTable

PAGE, AT_ONCE = 500, 8
MOST_ROWS = 60_000
"""The maximum number of sales rows for a training; of a larger file, a random sample is used."""

ProductName = tuple[str, str]
"""("productId" or "imageUrl", text)"""


@dataclass(frozen=True)
class SalesProduct:
    """A product of sales rows: its picture's vector, and the catalogue's fields.

    key: identifies the product's sales, in every file of the same merchant.
    """

    key: str
    vector: NDArray[np.float32]
    category: str = ""
    brand: str = ""
    price: float | None = None

    def offer(
        self, category: str | None, brand: str | None, price: float | None, day: date | None
    ) -> Offer:
        """The product as a sales row offers it; missing fields come from the catalogue."""
        catalogue = Offer(self.category, self.brand, self.price, key=self.key)
        return Offer(category, brand, price, day).completed_from(catalogue)


async def look_up_products(
    studio: Studio, owner_id: UUID, names: Sequence[ProductName],
    progress: Progress | None = None, *, most_new: int = MOST_PRODUCTS,
) -> tuple[dict[ProductName, SalesProduct], dict[ProductName, StudioError]]:  # fmt: skip
    """The product of each name, or the error that explains why it has none.

    Raises:
        Invalid: there are too many names, or too many pictures that must be embedded first.
        Unavailable, RateLimited: a part of the studio is down, or this account has too much work
            in progress; the lookup is then incomplete.
    """
    if len(names) > MOST_PRODUCTS:
        raise Invalid(f"{len(names):,} different products; at most {MOST_PRODUCTS:,} are accepted")
    version = await studio.embedder.version()
    products: dict[ProductName, SalesProduct] = {}
    errors: dict[ProductName, StudioError] = {}
    missing: list[tuple[ProductName, Product | None]] = [
        (name, None) for name in names if name[0] == "imageUrl"
    ]
    ids = [text for kind, text in names if kind == "productId"]
    for start in range(0, len(ids), PAGE):
        page = ids[start : start + PAGE]
        missing += await _look_up_page(studio, page, version, products, errors)
    if len(missing) > most_new:
        raise Invalid(
            f"{len(missing):,} pictures are new to the studio; at most {most_new:,} are accepted"
        )
    await _embed_all(studio, owner_id, missing, products, errors, progress)
    return products, errors


async def _look_up_page(
    studio: Studio, ids: Sequence[str], version: str, products: dict[ProductName, SalesProduct],
    errors: dict[ProductName, StudioError],
) -> list[tuple[ProductName, Product | None]]:  # fmt: skip
    """Adds the products with a vector and the errors; returns the products without a vector."""
    missing: list[tuple[ProductName, Product | None]] = []
    async with studio.database.read() as session:
        rows = await get_products(session, ids)
        vectors = await get_embeddings(session, ids, version)
    for product_id in ids:
        name, row = ("productId", product_id), rows.get(product_id)
        if row is None:
            errors[name] = NotFound(f"there is no product {product_id[:100]}")
        elif product_id in vectors:
            vector = unpack_vector(vectors[product_id]).astype(np.float32)
            products[name] = _sales_product(row, vector)
        else:
            missing.append((name, row))
    return missing


async def _embed_all(
    studio: Studio, owner_id: UUID, missing: list[tuple[ProductName, Product | None]],
    products: dict[ProductName, SalesProduct], errors: dict[ProductName, StudioError],
    progress: Progress | None,
) -> None:  # fmt: skip
    for start in range(0, len(missing), AT_ONCE):
        chunk = missing[start : start + AT_ONCE]
        results = await asyncio.gather(
            *(_embed(studio, owner_id, name, row) for name, row in chunk)
        )
        for (name, _), result in zip(chunk, results, strict=True):
            if isinstance(result, SalesProduct):
                products[name] = result
            else:
                errors[name] = result
        if progress is not None:
            await progress(start + len(chunk), len(missing), "pictures embedded")


async def _embed(
    studio: Studio, owner_id: UUID, name: ProductName, row: Product | None
) -> SalesProduct | StudioError:
    """Returns an error that concerns this picture alone; raises one that concerns the studio."""
    try:
        if row is not None:
            data = await studio.blobs.get(row.image_key)
            return _sales_product(row, (await studio.embedder.embed_image(data)).vector)
        loaded = await load_image(
            studio, owner_id, image_url=name[1], file_id=None, is_patient=True
        )
        vector = (await studio.embedder.embed_image(loaded.data)).vector
        return SalesProduct(loaded.key or name[1].split("?")[0], vector)
    except (Unavailable, DeadlinePassed, RateLimited):
        raise
    except StudioError as error:
        return error


def _sales_product(row: Product, vector: NDArray[np.float32]) -> SalesProduct:
    price = float(row.price) if row.price > 0 else None
    return SalesProduct(row.id, vector, row.category, row.brand or "", price)


def errors_by_row(table: SalesTable, errors: dict[ProductName, StudioError]) -> RowErrors:
    """The errors of all rows whose product has an error."""
    reasons = {table.names[name]: error.detail for name, error in errors.items()}
    row_errors = RowErrors()
    for item, line in zip(table.item, table.line, strict=True):
        if item in reasons:
            row_errors.add(line, reasons[item])
    return row_errors


def offers_of_rows(
    table: SalesTable, products: dict[ProductName, SalesProduct], rows: Sequence[int]
) -> tuple[list[Offer], NDArray[np.float32]]:
    """The offers of some rows of a table, and their pictures' vectors (n, dim)."""
    by_item, words = [products[name] for name in table.names], list(table.words)
    offers = [
        by_item[table.item[row]].offer(
            words[table.category[row]],
            words[table.brand[row]],
            table.price_at(row),
            table.day_at(row),
        )
        for row in rows
    ]
    return offers, np.stack([by_item[table.item[row]].vector for row in rows])


def to_sales(table: SalesTable, products: dict[ProductName, SalesProduct]) -> Sales:
    """The table's rows, or a random sample of them, as columns."""
    rows = np.arange(len(table))
    if len(table) > MOST_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(len(table), MOST_ROWS, replace=False))
    offers, vectors = offers_of_rows(table, products, rows.tolist())
    units = np.frombuffer(table.units, dtype=np.float64)[rows]
    keys = np.array([offer.key for offer in offers])
    return Sales(columns_of(offers, vectors), keys, units)
