"""Sales scores for merchants: a picture's score, its bounds, what it resembles, and why."""

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
from errors import DeadlinePassed, NotAuthenticated, NotFound, Unavailable
from models.embedder.shapes import unpack_vector
from models.images import decode_image
from models.sales.heatmap import draw_heatmap, see_change
from models.sales.occlusion import Influence, patches
from models.sales.regressor import COMPARABLES
from studio.context import current_request_id
from studio.deletion.lineage import delete_unrecorded_blob, find_deleted
from studio.files.files import load_image
from studio.files.picture_memory import hold_picture
from studio.files.picture_threads import run_on_picture
from studio.files.storage import require_storage
from studio.ports import Studio
from studio.sales.shapes import (
    Comparable,
    CoveredEmbedding,
    Offer,
    ScoreAnswer,
    ScoreQuery,
    TrainedVersion,
)
from studio.sales.versions import trained

HEATMAP_SIDE = 448


@dataclass(frozen=True)
class PredictRequest:
    """A picture by exactly one of its names; what is not said a product says itself."""

    image_url: str | None = None
    file_id: UUID | None = None
    product_id: str | None = None
    category: str | None = None
    price: float | None = None
    brand: str | None = None
    heatmap: bool = False


@dataclass(frozen=True)
class Resembled:
    """A sold product that looks like the picture; `product` where it is still for sale."""

    comparable: Comparable
    product: Product | None
    image: str | None


@dataclass(frozen=True)
class PredictAnswer:
    """The score, the versions that made it, and a URL of the heatmap where it was asked for."""

    score: ScoreAnswer
    comparables: list[Resembled]
    heatmap_url: str | None
    guessed: bool


@dataclass(frozen=True)
class _Picture:
    """What is scored: a blob key or an address, and a vector or the encoded picture."""

    name: str
    vector: CoveredEmbedding | None
    data: bytes | None


async def predict(studio: Studio, user_id: UUID, request: PredictRequest) -> PredictAnswer:
    """The score of one picture, and a row of it.

    Raises:
        NotFound: the picture or the product is absent or another user's.
        NotAnImage, Invalid, TooLarge, UpstreamFailed: the picture can't be used.
        TooLarge: a heatmap is asked for, and the account's quota is used up.
        Conflict: no regressor understands the embedder in service.
        Unavailable: a deployment is saturated or down.
    """
    if request.heatmap:
        await require_storage(studio, user_id)
    model, product = await _look_up(studio, user_id, request)
    offer = offer_of(request, product, datetime.now(UTC).date())
    picture = await _find_picture(studio, user_id, request, product)
    seen = picture.vector or await _embed(studio, picture.data or b"", covered=request.heatmap)
    query = ScoreQuery(seen.vectors, seen.version, offer, model)
    answer = await studio.regressor.score(query)
    row_id, heatmap_key = uuid4(), None
    row = _row(row_id, user_id, request, picture, seen, answer)
    if request.heatmap and picture.data is not None:
        heatmap_key = f"heatmaps/{row_id}.png"
        drawn = await run_on_picture(partial(explain, picture.data, seen, answer))
        await studio.blobs.put(heatmap_key, drawn, "image/png")
        row.heatmap_key, row.stored_bytes = heatmap_key, len(drawn)
    await _keep(studio, row)
    url = await studio.blobs.sign_get(heatmap_key) if heatmap_key else None
    shown = await _resembled(studio, answer.comparables)
    return PredictAnswer(answer, shown, url, guessed=not offer.category)


async def _keep(studio: Studio, row: Prediction) -> None:
    """Raises:
    NotFound: the picture was deleted meanwhile; no heatmap of it is left.
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
    except (Unavailable, DeadlinePassed):
        if row.heatmap_key is not None:
            await delete_unrecorded_blob(studio, Prediction, row.id, row.heatmap_key)
        raise


def explain(data: bytes, seen: CoveredEmbedding, answer: ScoreAnswer) -> bytes:
    """Encoded picture -> PNG: what each covered part takes from the expectation, drawn over it."""
    picture = decode_image(data, shortest_side=HEATMAP_SIDE)
    change = see_change(picture, seen.view)
    expected = answer.expected
    influence = Influence.of(patches(), float(expected[0]), expected[1:], change)
    return draw_heatmap(picture, influence, seen.view)


def offer_of(request: PredictRequest, product: Product | None, day: date) -> Offer:
    """What is said of it, else what the catalogue says; offered today."""
    offer = Offer(request.category, request.brand, request.price, day)
    if product is None:
        return offer
    return replace(
        offer,
        category=request.category or product.category,
        brand=request.brand or product.brand,
        price=request.price or float(product.price) or None,
        key=product.id,
    )


async def _look_up(
    studio: Studio, user_id: UUID, request: PredictRequest
) -> tuple[TrainedVersion | None, Product | None]:
    async with studio.database.read() as session:
        active = await get_active_regressor(session, user_id)
        if request.product_id is None:
            return trained(active), None
        product = await get_product(session, request.product_id)
    if product is None:
        raise NotFound(f"there is no product {request.product_id}")
    return trained(active), product


async def _find_picture(
    studio: Studio, user_id: UUID, request: PredictRequest, product: Product | None
) -> _Picture:
    """A product's vector is there already; its picture is read only where a heatmap needs it."""
    if product is None:
        loaded = await load_image(
            studio, user_id, image_url=request.image_url, file_id=request.file_id
        )
        hold_picture(len(loaded.data))
        name = loaded.key or (request.image_url or "").split("?")[0]
        return _Picture(name, None, loaded.data)
    if not request.heatmap:
        version = await studio.embedder.version()
        async with studio.database.read() as session:
            kept = await get_embedding(session, product.id, version)
        if kept is not None and kept.image_sha256 == product.image_sha256:
            vector = unpack_vector(kept.vector).astype(np.float32)
            return _Picture(product.image_key, _whole(version, vector), None)
    return _Picture(product.image_key, None, await studio.blobs.get(product.image_key))


async def _embed(studio: Studio, data: bytes, *, covered: bool) -> CoveredEmbedding:
    if covered:
        return await studio.embedder.embed_covered(data, patches())
    embedding = await studio.embedder.embed_image(data)
    return _whole(embedding.version, embedding.vector)


def _whole(version: str, vector: Any) -> CoveredEmbedding:
    return CoveredEmbedding(version, vector[None, :], (0.0, 0.0, 1.0, 1.0))


async def _resembled(studio: Studio, comparables: Sequence[Comparable]) -> list[Resembled]:
    """The nearest ones, those still for sale first: they can be shown."""
    async with studio.database.read() as session:
        products = await get_products(session, [one.key for one in comparables])
    order = sorted(comparables, key=lambda one: one.key not in products)[:COMPARABLES]
    shown = []
    for one in order:
        product = products.get(one.key)
        image = await studio.blobs.sign_get(product.image_key) if product else None
        shown.append(Resembled(one, product, image))
    return shown


def _row(
    row_id: UUID, user_id: UUID, request: PredictRequest, picture: _Picture,
    seen: CoveredEmbedding, answer: ScoreAnswer,
) -> Prediction:  # fmt: skip
    said = {"category": request.category, "brand": request.brand, "price": request.price}
    return Prediction(
        id=row_id,
        user_id=user_id,
        input_key=picture.name,
        params={
            **{name: value for name, value in said.items() if value is not None},
            "productId": request.product_id,
            "heatmap": request.heatmap,
            "novelty": round(answer.novelty, 4),
        },
        score=answer.score,
        err_low=answer.low,
        err_high=answer.high,
        coverage=answer.coverage,
        model_version=answer.model_version,
        embedder_version=seen.version,
        request_id=current_request_id(),
    )
