"""Sales scores for merchants: a picture's score, its interval, comparables and heatmap."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import numpy as np
from sqlalchemy.exc import SQLAlchemyError

from db.catalog import get_embedding, get_product, get_products
from db.regressor_versions import get_active_regressor
from db.tables import Prediction, Product
from errors import Conflict, DeadlinePassed, NotAuthenticated, NotFound, Unavailable
from models.embedder.shapes import unpack_vector
from models.images import decode_image
from models.sales.explanation.heatmap import change_in_view, draw_heatmap
from models.sales.explanation.occlusion import Influence, patches
from models.sales.regressor import COMPARABLES
from models.sales.shapes import (
    Comparable,
    CoveredEmbedding,
    Offer,
    ScoreAnswer,
    ScoreQuery,
    TrainedVersion,
)
from studio.context import current_request_id
from studio.deletion.lineage import delete_unrecorded_blob, find_deleted
from studio.files.files import load_image
from studio.files.picture_memory import hold_picture
from studio.files.picture_threads import run_on_picture
from studio.files.storage import require_storage
from studio.ports import Studio
from studio.sales.forms import PredictForm, as_float
from studio.sales.versions import trained_version

HEATMAP_SIDE = 448


@dataclass(frozen=True)
class ComparableProduct:
    """A comparable; if its product is still for sale, also the product and its picture's URL."""

    comparable: Comparable
    product: Product | None
    image: str | None


@dataclass(frozen=True)
class PredictAnswer:
    """The score, and the heatmap's URL if a heatmap was requested."""

    score: ScoreAnswer
    comparables: list[ComparableProduct]
    heatmap_url: str | None
    is_category_guessed: bool


@dataclass(frozen=True)
class _Picture:
    """The picture to score: its blob key or address, and its vector or its encoded bytes."""

    name: str
    vector: CoveredEmbedding | None
    data: bytes | None


async def predict(studio: Studio, user_id: UUID, form: PredictForm) -> PredictAnswer:
    """Scores one picture and stores the prediction.

    Raises:
        NotFound: there is no such picture or product, or it belongs to another account.
        NotAnImage, Invalid, TooLarge, UpstreamFailed: the picture can't be used.
        TooLarge: a heatmap is requested, and the account's quota is used up.
        Conflict: the regressor was trained for another embedder than the one in service.
        Unavailable: a deployment is saturated or down.
    """
    if form.heatmap:
        await require_storage(studio, user_id)
    model, product = await _look_up(studio, user_id, form)
    offer = offer_of(form, product, datetime.now(UTC).date())
    picture, embedding, answer = await _score(studio, user_id, form, (model, product, offer))
    row_id, heatmap_key = uuid4(), None
    row = _row(row_id, user_id, form, picture, embedding, answer)
    if form.heatmap and picture.data is not None:
        heatmap_key = f"heatmaps/{row_id}.png"
        heatmap = await run_on_picture(partial(explain, picture.data, embedding, answer))
        await studio.blobs.put(heatmap_key, heatmap, "image/png")
        row.heatmap_key, row.stored_bytes = heatmap_key, len(heatmap)
    await _insert(studio, row)
    url = await studio.blobs.sign_get(heatmap_key) if heatmap_key else None
    comparables = await _add_products(studio, answer.comparables)
    return PredictAnswer(answer, comparables, url, is_category_guessed=not offer.category)


async def _score(
    studio: Studio, user_id: UUID, form: PredictForm,
    subject: tuple[TrainedVersion | None, Product | None, Offer],
) -> tuple[_Picture, CoveredEmbedding, ScoreAnswer]:  # fmt: skip
    """Scores by the embedder in service, or by the one beside it if the regressor is of that one.

    So a change of embedder leaves merchants time to train new versions.
    """
    model, product, offer = subject
    order = await studio.embedder.in_order()
    for embedder in order:
        by_embedder = replace(studio, embedder=embedder)
        picture = await _load_picture(by_embedder, user_id, form, product)
        embedding = picture.vector or await _embed(
            by_embedder, picture.data or b"", covered=form.heatmap
        )
        query = ScoreQuery(embedding.vectors, embedding.version, offer, model)
        try:
            return picture, embedding, await studio.regressor.score(query)
        except Conflict:
            if embedder is order[-1]:
                raise
    raise AssertionError("there is always an embedder")


async def _insert(studio: Studio, row: Prediction) -> None:
    """Inserts the prediction; if that fails, its heatmap is deleted.

    Raises:
        NotFound: the picture was deleted meanwhile.
    """
    try:
        async with studio.database.transaction() as session:
            if await find_deleted(session, row.user_id, [row.input_key]):
                raise NotFound("the picture was deleted")
            session.add(row)
    except (NotFound, NotAuthenticated, SQLAlchemyError):
        if row.heatmap_key is not None:
            await studio.blobs.delete(row.heatmap_key)
        raise
    except (Unavailable, DeadlinePassed, asyncio.CancelledError):
        if row.heatmap_key is not None:
            await delete_unrecorded_blob(studio, Prediction, row.id, row.heatmap_key)
        raise


def explain(data: bytes, embedding: CoveredEmbedding, answer: ScoreAnswer) -> bytes:
    """Encoded picture -> PNG heatmap of each part's influence on the expected sales."""
    picture = decode_image(data, shortest_side=HEATMAP_SIDE)
    change = change_in_view(picture, embedding.view)
    expected = answer.expected
    influence = Influence.of(patches(), float(expected[0]), expected[1:], change)
    return draw_heatmap(picture, influence, embedding.view)


def offer_of(form: PredictForm, product: Product | None, day: date) -> Offer:
    """The form's fields; the catalogue supplies fields that the form lacks."""
    offer = Offer(form.category, form.brand, as_float(form.price), day)
    if product is None:
        return offer
    price = float(product.price) or None
    return offer.completed_from(Offer(product.category, product.brand, price, key=product.id))


async def _look_up(
    studio: Studio, user_id: UUID, form: PredictForm
) -> tuple[TrainedVersion | None, Product | None]:
    async with studio.database.read() as session:
        active = await get_active_regressor(session, user_id)
        if form.product_id is None:
            return trained_version(active), None
        product = await get_product(session, form.product_id)
    if product is None:
        raise NotFound(f"there is no product {form.product_id}")
    return trained_version(active), product


async def _load_picture(
    studio: Studio, user_id: UUID, form: PredictForm, product: Product | None
) -> _Picture:
    """A product's vector is in the database; its picture is read only for a heatmap."""
    if product is None:
        loaded = await load_image(studio, user_id, image_url=form.image_url, file_id=form.file_id)
        hold_picture(len(loaded.data))
        name = loaded.key or (form.image_url or "").split("?")[0]
        return _Picture(name, None, loaded.data)
    if not form.heatmap:
        version = await studio.embedder.version()
        async with studio.database.read() as session:
            stored = await get_embedding(session, product.id, version)
        if stored is not None and stored.image_sha256 == product.image_sha256:
            vector = unpack_vector(stored.vector).astype(np.float32)
            return _Picture(product.image_key, _whole(version, vector), None)
    return _Picture(product.image_key, None, await studio.blobs.get(product.image_key))


async def _embed(studio: Studio, data: bytes, *, covered: bool) -> CoveredEmbedding:
    if covered:
        return await studio.embedder.embed_covered(data, patches())
    embedding = await studio.embedder.embed_image(data)
    return _whole(embedding.version, embedding.vector)


def _whole(version: str, vector: Any) -> CoveredEmbedding:
    return CoveredEmbedding(version, vector[None, :], (0.0, 0.0, 1.0, 1.0))


async def _add_products(
    studio: Studio, comparables: Sequence[Comparable]
) -> list[ComparableProduct]:
    """The nearest comparables with their products, those still for sale first."""
    async with studio.database.read() as session:
        products = await get_products(session, [comparable.key for comparable in comparables])
    nearest = sorted(comparables, key=lambda comparable: comparable.key not in products)
    rows = []
    for comparable in nearest[:COMPARABLES]:
        product = products.get(comparable.key)
        image = await studio.blobs.sign_get(product.image_key) if product else None
        rows.append(ComparableProduct(comparable, product, image))
    return rows


def _row(
    row_id: UUID, user_id: UUID, form: PredictForm, picture: _Picture,
    embedding: CoveredEmbedding, answer: ScoreAnswer,
) -> Prediction:  # fmt: skip
    fields = {"category": form.category, "brand": form.brand, "price": as_float(form.price)}
    return Prediction(
        id=row_id,
        user_id=user_id,
        input_key=picture.name,
        params={
            **{name: value for name, value in fields.items() if value is not None},
            "productId": form.product_id,
            "heatmap": form.heatmap,
            "novelty": round(answer.novelty, 4),
        },
        score=answer.score,
        err_low=answer.low,
        err_high=answer.high,
        coverage=answer.coverage,
        model_version=answer.model_version,
        embedder_version=embedding.version,
        request_id=current_request_id(),
    )
