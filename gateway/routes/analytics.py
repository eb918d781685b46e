"""Routes of merchant analytics: a picture's sales score, how good it is, and own versions."""

import datetime
from decimal import Decimal
from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import Field, model_validator

from db.regressor_versions import list_regressors
from db.tables import RegressorVersion
from gateway.deps import IdempotencyKey, Merchant, PlacesDep, StudioDep
from gateway.documents import Document
from gateway.paging import Cursor, PageDep, page_of
from gateway.wire import JobAccepted, Page, Storable, WireRequest, WireResponse
from studio.jobs.jobs import submit_job
from studio.ports import Studio
from studio.sales import evaluate as evaluation
from studio.sales import predict as analytics
from studio.sales.evaluate import MOST_OBSERVATIONS, EvaluationAnswer, Observation
from studio.sales.train import TRAIN_REGRESSOR, TrainForm
from studio.sales.versions import activate_regressor

router = APIRouter(prefix="/api/analytics", tags=["analytics"])

Address = Annotated[str, Field(min_length=1, max_length=4096)]
Word = Annotated[str, Field(min_length=1, max_length=200)]
Price = Annotated[Decimal, Field(gt=0, le=1_000_000_000, max_digits=30)]


VersionName = Annotated[Storable, Path(max_length=200)]


class PictureNames(WireRequest):
    """A picture by exactly one of its names."""

    image_url: Address | None = None
    file_id: UUID | None = None
    product_id: Word | None = None

    @model_validator(mode="after")
    def require_one_name(self) -> "PictureNames":
        """None and several are mistakes."""
        given = [name for name in (self.image_url, self.file_id, self.product_id) if name]
        if len(given) != 1:
            raise ValueError("give exactly one of imageUrl, fileId and productId")
        return self


class PredictRequest(PictureNames):
    """What is scored, as it would be offered today."""

    category: Word | None = None
    price: Price | None = None
    brand: Word | None = None
    heatmap: Annotated[bool, Field(strict=True)] = False


class ComparableResponse(WireResponse):
    """A sold product that looks like the picture; without title and image where it is gone."""

    id: str
    similarity: float
    units: float
    score: float
    category: str
    title: str | None
    image: str | None


class PredictResponse(WireResponse):
    """The score with its bounds.

    category: as asked, or as the nearest sold products have it (`categoryGuessed`); novelty: 0
    where the picture is like those learned from, up to 1 where it is like none and the bounds are
    wide because of it (`outOfDistribution`).
    """

    score: float
    err_low: float
    err_high: float
    coverage: float
    comparables: list[ComparableResponse]
    heatmap_url: str | None = None
    model_version: str
    category: str
    category_guessed: bool
    novelty: float
    out_of_distribution: bool


class ObservationRequest(PictureNames):
    """One line of sales."""

    units: Annotated[float, Field(ge=0, le=1_000_000_000)]
    date: datetime.date | None = None
    price: Price | None = None
    category: Word | None = None
    brand: Word | None = None


class EvalRequest(WireRequest):
    """Sales that were observed, here or in an uploaded CSV."""

    observations: (
        Annotated[
            list[ObservationRequest],
            Field(min_length=1, max_length=MOST_OBSERVATIONS, fail_fast=True),
        ]
        | None
    ) = None
    file_id: UUID | None = None

    @model_validator(mode="after")
    def require_one_source(self) -> "EvalRequest":
        """Neither and both are mistakes."""
        if (self.observations is None) == (self.file_id is None):
            raise ValueError("give either observations or fileId")
        return self


class MeasuresResponse(WireResponse):
    """Errors on the score, 0 to 100; wape on units. Null where a figure has no value."""

    mae: float
    rmse: float
    r2: float | None
    spearman: float | None
    wape: float | None


class BaselinesResponse(WireResponse):
    """The same figures of two simple guesses."""

    category_mean: MeasuresResponse
    image_knn: MeasuresResponse


class EvalResponse(MeasuresResponse):
    """How good the running version is on these sales.

    logError: mean absolute error of ln(1 + units); beyondScale: the share of lines that sold less
    or more than anything the version knows.
    """

    n: int
    coverage: float
    mean_interval_width: float
    log_error: float
    beyond_scale: float
    baselines: BaselinesResponse
    plots: dict[str, str]
    model_version: str


class RegressorVersionResponse(WireResponse):
    """A version of one's own; `metrics` of its held-out sales."""

    version: str
    status: str
    embedder_version: str
    metrics: Document
    plots: dict[str, str]
    created_at: datetime.datetime
    activated_at: datetime.datetime | None


class ActivatedResponse(WireResponse):
    """The version that answers from now on."""

    version: str


@router.post("/predict", response_model_exclude_none=True)
async def predict(body: PredictRequest, user: Merchant, studio: StudioDep) -> PredictResponse:
    """A sales score of a picture, its bounds, what sold looks like it, and why where asked."""
    request = analytics.PredictRequest(
        image_url=body.image_url,
        file_id=body.file_id,
        product_id=body.product_id,
        category=body.category,
        price=None if body.price is None else float(body.price),
        brand=body.brand,
        heatmap=body.heatmap,
    )
    told = await analytics.predict(studio, user.id, request)
    return PredictResponse(
        score=round(told.score.score, 2),
        err_low=round(told.score.low, 2),
        err_high=round(told.score.high, 2),
        coverage=told.score.coverage,
        comparables=[to_comparable(one) for one in told.comparables],
        heatmap_url=told.heatmap_url,
        model_version=told.score.model_version,
        category=told.score.category,
        category_guessed=told.guessed,
        novelty=round(told.score.novelty, 4),
        out_of_distribution=told.score.novelty > 0,
    )


def to_comparable(one: analytics.Resembled) -> ComparableResponse:
    """Studio -> wire."""
    return ComparableResponse(
        id=one.comparable.key,
        similarity=round(one.comparable.similarity, 4),
        units=round(one.comparable.units, 2),
        score=round(one.comparable.score, 2),
        category=one.comparable.category,
        title=one.product.title if one.product else None,
        image=one.image,
    )


@router.post("/eval")
async def evaluate(
    body: EvalRequest, user: Merchant, studio: StudioDep, places: PlacesDep
) -> EvalResponse:
    """Measures the version that answers this merchant on sales it is given."""
    async with places.evaluations.place(user.id):
        return to_eval(await evaluate_sales(studio, user.id, body))


async def evaluate_sales(studio: Studio, user_id: UUID, body: EvalRequest) -> EvaluationAnswer:
    """Of the file that is named, or of the observations."""
    if body.file_id is not None:
        return await evaluation.evaluate_file(studio, user_id, body.file_id)
    lines = [
        Observation(
            **one.model_dump(exclude={"price", "date"}),
            day=one.date,
            price=None if one.price is None else float(one.price),
        )
        for one in body.observations or ()
    ]
    return await evaluation.evaluate(studio, user_id, lines)


def to_eval(told: EvaluationAnswer) -> EvalResponse:
    """Studio -> wire."""
    return EvalResponse(**told.figures, plots=told.plots, model_version=told.model_version)


@router.post("/train", status_code=202)
async def train(
    body: TrainForm, user: Merchant, studio: StudioDep, idempotency_key: IdempotencyKey = None
) -> JobAccepted:
    """Trains a version on a sales CSV; it goes live only if it beats the running one."""
    job = await submit_job(
        studio, TRAIN_REGRESSOR, body, owner_id=user.id, idempotency_key=idempotency_key
    )
    return JobAccepted(job_id=job.id)


async def to_version(studio: Studio, row: RegressorVersion) -> RegressorVersionResponse:
    """Row -> wire, with signed URLs of its plots."""
    urls = {
        name: await studio.blobs.sign_get(f"regressors/{row.version}/{name}.png")
        for name in ("calibration", "predicted")
    }
    names = set(RegressorVersionResponse.model_fields) - {"plots"}
    return RegressorVersionResponse(**{name: getattr(row, name) for name in names}, plots=urls)


def position_of(row: RegressorVersion) -> Cursor:
    """The position of a version in the list."""
    return Cursor(row.created_at, row.version)


@router.get("/versions")
async def read_versions(
    page: PageDep, user: Merchant, studio: StudioDep
) -> Page[RegressorVersionResponse]:
    """One's own versions, newest first."""
    async with studio.database.read() as session:
        rows = await list_regressors(session, user.id, limit=page.row_limit, after=page.after_name)
    return await page_of(rows, page, partial(to_version, studio), position=position_of)


@router.post("/versions/{version}/activate")
async def activate(version: VersionName, user: Merchant, studio: StudioDep) -> ActivatedResponse:
    """Rolls back or forward to a version of one's own, or to `starter`."""
    await activate_regressor(studio, user.id, version)
    return ActivatedResponse(version=version)
