"""How good the running regressor is on sales that a merchant has observed."""

import asyncio
import tempfile
from dataclasses import dataclass
from datetime import date
from operator import itemgetter
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np

from db.regressor_versions import get_active_regressor
from errors import StudioError, TooLarge
from studio.files.files import require_picture
from studio.ports import Studio
from studio.sales.csv_file import NO_DAY, read_sales
from studio.sales.lines import Name, Seen, blame_lines, see_products
from studio.sales.shapes import Observations, Offer
from studio.sales.train import csv_key
from studio.sales.versions import trained

MOST_OBSERVATIONS, MOST_NEW = 2000, 500
"""Lines of one evaluation, and pictures among them that have to be embedded first."""
MOST_FILE_BYTES = 32_000_000
"""Of a file with so few lines; a longer one belongs into a training."""


@dataclass(frozen=True)
class Observation:
    """One line of sales: the picture by exactly one of its names, units, and what is known."""

    units: float
    image_url: str | None = None
    file_id: UUID | None = None
    product_id: str | None = None
    day: date | None = None
    price: float | None = None
    category: str | None = None
    brand: str | None = None


@dataclass(frozen=True)
class EvaluationAnswer:
    """Figures by name (snake_case), URLs of the plots by name."""

    figures: dict[str, Any]
    plots: dict[str, str]
    model_version: str


async def evaluate_file(studio: Studio, user_id: UUID, file_id: UUID) -> EvaluationAnswer:
    """As `evaluate`, of a sales CSV.

    Raises:
        Invalid: lines that can't be used, the first of them named; or too many.
        TooLarge: the file is too large for so few lines.
    """
    key = await csv_key(studio, user_id, file_id)
    blob = await studio.blobs.head(key)
    if blob is not None and blob.size > MOST_FILE_BYTES:
        raise TooLarge(f"an evaluation takes a file of at most {MOST_FILE_BYTES:,} bytes")
    with tempfile.TemporaryDirectory(prefix="sales-") as folder:
        path = Path(folder) / "sales.csv"
        await studio.blobs.get_file(key, path)
        table = await asyncio.to_thread(read_sales, path, needs_date=False, most=MOST_OBSERVATIONS)
    table.errors.refuse(table.total)
    names, words = list(table.names), list(table.words)
    seen, failed = await see_products(studio, user_id, names, most_new=MOST_NEW)
    if failed:
        blame_lines(table, failed).refuse(len(table))
    lines = [
        Observation(
            units=table.units[row],
            day=None if table.day[row] == NO_DAY else date.fromordinal(table.day[row]),
            price=None if np.isnan(table.price[row]) else table.price[row],
            category=words[table.category[row]] or None,
            brand=words[table.brand[row]] or None,
        )
        for row in range(len(table))
    ]
    return await _evaluate(studio, user_id, lines, [seen[names[item]] for item in table.item])


async def evaluate(
    studio: Studio, user_id: UUID, observations: list[Observation]
) -> EvaluationAnswer:
    """Measures of the version that answers this merchant, beside two baselines.

    Raises:
        StudioError: an observation's picture is absent, another's or can't be used; the first such
            one is named by its place.
        Conflict, Unavailable: see `studio.ports.Regressor`.
    """
    names: dict[Name, list[int]] = {}
    for place, one in enumerate(observations):
        names.setdefault(await _name(studio, user_id, place, one), []).append(place)
    seen, failed = await see_products(studio, user_id, list(names), most_new=MOST_NEW)
    if failed:
        place, error = min(((names[n][0], error) for n, error in failed.items()), key=itemgetter(0))
        raise type(error)(f"/observations/{place}: {error.detail}")
    pictures = {place: seen[name] for name, places in names.items() for place in places}
    ordered = [pictures[place] for place in range(len(observations))]
    return await _evaluate(studio, user_id, observations, ordered)


async def _name(studio: Studio, user_id: UUID, place: int, one: Observation) -> Name:
    if one.product_id is not None:
        return "productId", one.product_id
    if one.image_url is not None:
        return "imageUrl", one.image_url
    try:
        key = await require_picture(studio, user_id, file_id=one.file_id)
    except StudioError as error:
        raise type(error)(f"/observations/{place}: {error.detail}") from None
    return "imageUrl", await studio.blobs.sign_get(key or "")


async def _evaluate(
    studio: Studio, user_id: UUID, lines: list[Observation], pictures: list[Seen]
) -> EvaluationAnswer:
    async with studio.database.read() as session:
        model = trained(await get_active_regressor(session, user_id))
    offers = [
        Offer(
            category=line.category or picture.category,
            brand=line.brand or picture.brand,
            price=line.price or picture.price,
            day=line.day,
            key=picture.key,
        )
        for line, picture in zip(lines, pictures, strict=True)
    ]
    vectors = np.stack([picture.vector for picture in pictures]).astype(np.float16)
    units = np.array([line.units for line in lines], dtype=np.float64)
    version = await studio.embedder.version()
    told = await studio.regressor.evaluate(model, Observations(vectors, version, offers, units))
    urls, run = {}, uuid4()
    for name, plot in told.plots.items():
        key = f"regressors/{told.model_version}/evaluations/{run}/{name}.png"
        await studio.blobs.put(key, plot, "image/png")
        urls[name] = await studio.blobs.sign_get(key)
    return EvaluationAnswer(told.figures, urls, told.model_version)
