"""Evaluates the active regressor on sales that a merchant has observed."""

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
from numpy.typing import NDArray

from db.regressor_versions import get_active_regressor
from errors import StudioError, TooLarge
from models.sales.shapes import Observations, Offer
from studio.files.datasets import csv_key
from studio.files.files import require_picture
from studio.ports import Studio
from studio.sales.csv_file import read_sales
from studio.sales.forms import MOST_OBSERVATIONS, EvaluationForm, ObservationForm, as_float
from studio.sales.products import ProductName, errors_by_row, look_up_products, offers_of_rows
from studio.sales.versions import trained_version

MOST_NEW = 500
"""The maximum number of pictures in one evaluation that must be embedded first."""
MOST_FILE_BYTES = 32_000_000
"""The largest CSV of an evaluation, which has few rows; a larger file belongs in a training job."""


@dataclass(frozen=True)
class EvaluationAnswer:
    """Figures by name (snake_case), and URLs of the plots by name."""

    figures: dict[str, Any]
    plots: dict[str, str]
    model_version: str


async def evaluate(studio: Studio, user_id: UUID, form: EvaluationForm) -> EvaluationAnswer:
    """Measures the merchant's active version, and compares it with two baselines.

    Raises:
        Invalid: rows of the file are invalid, or there are too many.
        TooLarge: the file is too large.
        StudioError: the picture of an observation does not exist, belongs to another account or
            can't be used; the message names the first such observation.
        Conflict, Unavailable: see `studio.ports.Regressor`.
    """
    if form.file_id is not None:
        return await _evaluate_file(studio, user_id, form.file_id)
    return await _evaluate_observations(studio, user_id, form.observations or [])


async def _evaluate_file(studio: Studio, user_id: UUID, file_id: UUID) -> EvaluationAnswer:
    key = await csv_key(studio, user_id, file_id)
    blob = await studio.blobs.head(key)
    if blob is not None and blob.size > MOST_FILE_BYTES:
        raise TooLarge(f"an evaluation takes a file of at most {MOST_FILE_BYTES:,} bytes")
    with tempfile.TemporaryDirectory(prefix="sales-") as folder:
        path = Path(folder) / "sales.csv"
        await studio.blobs.get_file(key, path)
        table = await asyncio.to_thread(read_sales, path, needs_date=False, most=MOST_OBSERVATIONS)
    table.errors.refuse(table.total)
    products, errors = await look_up_products(studio, user_id, list(table.names), most_new=MOST_NEW)
    if errors:
        errors_by_row(table, errors).refuse(len(table))
    offers, vectors = offers_of_rows(table, products, range(len(table)))
    return await _evaluate(studio, user_id, offers, vectors, table.units)


async def _evaluate_observations(
    studio: Studio, user_id: UUID, observations: Sequence[ObservationForm]
) -> EvaluationAnswer:
    places: dict[ProductName, list[int]] = {}
    for place, observation in enumerate(observations):
        name = await _product_name(studio, user_id, place, observation)
        places.setdefault(name, []).append(place)
    products, errors = await look_up_products(studio, user_id, list(places), most_new=MOST_NEW)
    if errors:
        place, error = min(
            ((places[name][0], error) for name, error in errors.items()), key=itemgetter(0)
        )
        raise type(error)(f"/observations/{place}: {error.detail}")
    by_place = {place: products[name] for name, rows in places.items() for place in rows}
    offers = [
        by_place[place].offer(row.category, row.brand, as_float(row.price), row.date)
        for place, row in enumerate(observations)
    ]
    vectors = np.stack([by_place[place].vector for place in range(len(observations))])
    return await _evaluate(studio, user_id, offers, vectors, [row.units for row in observations])


async def _product_name(
    studio: Studio, user_id: UUID, place: int, observation: ObservationForm
) -> ProductName:
    if observation.product_id is not None:
        return "productId", observation.product_id
    if observation.image_url is not None:
        return "imageUrl", observation.image_url
    try:
        key = await require_picture(studio, user_id, file_id=observation.file_id)
    except StudioError as error:
        raise type(error)(f"/observations/{place}: {error.detail}") from None
    return "imageUrl", await studio.blobs.sign_get(key or "")


async def _evaluate(
    studio: Studio, user_id: UUID, offers: list[Offer], vectors: NDArray[np.float32],
    units: Sequence[float],
) -> EvaluationAnswer:  # fmt: skip
    async with studio.database.read() as session:
        model = trained_version(await get_active_regressor(session, user_id))
    version = await studio.embedder.version()
    observations = Observations(
        vectors.astype(np.float16), version, offers, np.array(units, dtype=np.float64)
    )
    evaluation = await studio.regressor.evaluate(model, observations)
    urls, run = {}, uuid4()
    for name, plot in evaluation.plots.items():
        key = f"regressors/{evaluation.model_version}/evaluations/{run}/{name}.png"
        await studio.blobs.put(key, plot, "image/png")
        urls[name] = await studio.blobs.sign_get(key)
    return EvaluationAnswer(evaluation.figures, urls, evaluation.model_version)
