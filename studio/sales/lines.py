"""Lines of sales to what a regressor learns from: products looked up, pictures embedded."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from db.catalog import get_embeddings, get_products
from db.tables import Product
from errors import DeadlinePassed, Invalid, NotFound, RateLimited, StudioError, Unavailable
from models.embedder.shapes import unpack_vector
from models.sales.sales import Sales
from studio.files.files import load_image
from studio.ports import Studio
from studio.sales.answers import offers_of
from studio.sales.csv_file import MOST_PRODUCTS, NO_DAY, LineErrors, SalesTable
from studio.sales.shapes import Offer

PAGE, AT_ONCE = 500, 8
MOST_LINES = 60_000
"""Lines that are learned from; of more lines a fair sample."""

Name = tuple[str, str]
"""("productId" or "imageUrl", text)"""
Report = Callable[[int, int, str], Awaitable[None]]


@dataclass(frozen=True)
class Seen:
    """A product of the file: its picture's vector, and what the catalogue says where lines don't.

    key: what its sales go by, in every file of the same merchant.
    """

    key: str
    vector: NDArray[np.float32]
    category: str = ""
    brand: str = ""
    price: float | None = None


async def see_products(
    studio: Studio, owner_id: UUID, names: Sequence[Name], report: Report | None = None, *,
    most_new: int = MOST_PRODUCTS,
) -> tuple[dict[Name, Seen], dict[Name, StudioError]]:  # fmt: skip
    """What each name stands for, or why it stands for nothing.

    Raises:
        Invalid: more names than are taken, or more pictures that have to be embedded first.
        Unavailable, RateLimited: a part of the studio is down, or too much of this account's work
            is under way; nothing is known of the rest then.
    """
    if len(names) > MOST_PRODUCTS:
        raise Invalid(f"{len(names):,} different products; at most {MOST_PRODUCTS:,} are taken")
    version = await studio.embedder.version()
    seen: dict[Name, Seen] = {}
    failed: dict[Name, StudioError] = {}
    unseen: list[tuple[Name, Product | None]] = [(n, None) for n in names if n[0] == "imageUrl"]
    ids = [text for kind, text in names if kind == "productId"]
    for start in range(0, len(ids), PAGE):
        page = ids[start : start + PAGE]
        async with studio.database.read() as session:
            products = await get_products(session, page)
            vectors = await get_embeddings(session, page, version)
        for product_id in page:
            name, product = ("productId", product_id), products.get(product_id)
            if product is None:
                failed[name] = NotFound(f"there is no product {product_id[:100]}")
            elif product_id in vectors:
                seen[name] = _seen(product, unpack_vector(vectors[product_id]).astype(np.float32))
            else:
                unseen.append((name, product))
    if len(unseen) > most_new:
        raise Invalid(f"{len(unseen):,} pictures are new to the studio; at most {most_new:,} fit")
    await _embed_all(studio, owner_id, unseen, seen, failed, report)
    return seen, failed


async def _embed_all(
    studio: Studio, owner_id: UUID, unseen: list[tuple[Name, Product | None]],
    seen: dict[Name, Seen], failed: dict[Name, StudioError], report: Report | None,
) -> None:  # fmt: skip
    for start in range(0, len(unseen), AT_ONCE):
        chunk = unseen[start : start + AT_ONCE]
        told = await asyncio.gather(
            *(_embed(studio, owner_id, name, product) for name, product in chunk)
        )
        for (name, _), one in zip(chunk, told, strict=True):
            if isinstance(one, Seen):
                seen[name] = one
            else:
                failed[name] = one
        if report is not None:
            await report(start + len(chunk), len(unseen), "pictures embedded")


async def _embed(
    studio: Studio, owner_id: UUID, name: Name, product: Product | None
) -> Seen | StudioError:
    """What is wrong with one picture is its own affair; a studio that is down or busy is not."""
    try:
        if product is not None:
            data = await studio.blobs.get(product.image_key)
            return _seen(product, (await studio.embedder.embed_image(data)).vector)
        loaded = await load_image(
            studio, owner_id, image_url=name[1], file_id=None, is_patient=True
        )
        vector = (await studio.embedder.embed_image(loaded.data)).vector
        return Seen(loaded.key or name[1].split("?")[0], vector)
    except (Unavailable, DeadlinePassed, RateLimited):
        raise
    except StudioError as error:
        return error


def _seen(product: Product, vector: NDArray[np.float32]) -> Seen:
    price = float(product.price) if product.price > 0 else None
    return Seen(product.id, vector, product.category, product.brand or "", price)


def blame_lines(table: SalesTable, failed: dict[Name, StudioError]) -> LineErrors:
    """Every line of a product that stands for nothing."""
    reasons = {table.names[name]: error.detail for name, error in failed.items()}
    errors = LineErrors()
    for item, line in zip(table.item, table.line, strict=True):
        if item in reasons:
            errors.add(line, reasons[item])
    return errors


def to_sales(table: SalesTable, seen: dict[Name, Seen]) -> Sales:
    """The table's lines, or a fair sample of them, as columns."""
    rows = np.arange(len(table))
    if len(table) > MOST_LINES:
        rows = np.sort(np.random.default_rng(0).choice(len(table), MOST_LINES, replace=False))
    products = [seen[name] for name in table.names]
    words = list(table.words)
    offers, vectors = list[Offer](), list[NDArray[np.float32]]()
    for row in rows:
        product = products[table.item[row]]
        category, brand = words[table.category[row]], words[table.brand[row]]
        price = table.price[row]
        offers.append(
            Offer(
                category=category or product.category,
                brand=brand or product.brand,
                price=product.price if np.isnan(price) else price,
                day=None if table.day[row] == NO_DAY else date.fromordinal(table.day[row]),
                key=product.key,
            )
        )
        vectors.append(product.vector)
    units = np.frombuffer(table.units, dtype=np.float64)[rows]
    keys = np.array([one.key for one in offers])
    return Sales(offers_of(offers, np.stack(vectors)), keys, units)
