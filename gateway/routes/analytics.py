"""Routes of merchant analytics: sales scores, their evaluation, and regressor versions."""

import datetime
from functools import partial

from fastapi import APIRouter

from db.tables import RegressorVersion
from gateway.deps import IdempotencyKey, Merchant, PlacesDep, StudioDep
from gateway.documents import Document
from gateway.paging import PageDep, page_of
from gateway.versions import ActivatedVersion, VersionName, position_of
from gateway.wire import JobAccepted, Page, WireResponse
from studio.jobs.jobs import submit_job
from studio.ports import Studio
from studio.sales.evaluate import EvaluationAnswer
from studio.sales.evaluate import evaluate as evaluate_sales
from studio.sales.forms import EvaluationForm, PredictForm
from studio.sales.predict import ComparableProduct, PredictAnswer
from studio.sales.predict import predict as predict_sales
from studio.sales.train import TRAIN_REGRESSOR, TrainForm
from studio.sales.versions import activate_regressor, list_versions, plot_urls

router = APIRouter(prefix="/api/analytics", tags=["analytics"])


class ComparableResponse(WireResponse):
    """A sold product that looks like the picture; title and image only while it is for sale."""

    id: str
    similarity: float
    units: float
    score: float
    category: str
    title: str | None
    image: str | None

    @classmethod
    def of(cls, row: ComparableProduct) -> "ComparableResponse":
        """The response for one comparable."""
        return cls(
            id=row.comparable.key,
            similarity=round(row.comparable.similarity, 4),
            units=round(row.comparable.units, 2),
            score=round(row.comparable.score, 2),
            category=row.comparable.category,
            title=row.product.title if row.product else None,
            image=row.image,
        )


class PredictResponse(WireResponse):
    """The score with its interval.

    category: the request's or the product's, or that of the nearest sold products
    (`categoryGuessed`); novelty: 0 where the picture is like the training pictures, up to 1 where
    it is unlike all of them; above 0 the interval is widened (`outOfDistribution`).
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

    @classmethod
    def of(cls, answer: PredictAnswer) -> "PredictResponse":
        """The response for one prediction."""
        score = answer.score
        return cls(
            score=round(score.score, 2),
            err_low=round(score.low, 2),
            err_high=round(score.high, 2),
            coverage=score.coverage,
            comparables=[ComparableResponse.of(row) for row in answer.comparables],
            heatmap_url=answer.heatmap_url,
            model_version=score.model_version,
            category=score.category,
            category_guessed=answer.is_category_guessed,
            novelty=round(score.novelty, 4),
            out_of_distribution=score.novelty > 0,
        )


class MeasuresResponse(WireResponse):
    """Measures on the score, 0 to 100, and wape on units; null if a measure is undefined."""

    mae: float
    rmse: float
    r2: float | None
    spearman: float | None
    wape: float | None


class BaselinesResponse(WireResponse):
    """The same measures of two simple baselines."""

    category_mean: MeasuresResponse
    image_knn: MeasuresResponse


class EvalResponse(MeasuresResponse):
    """The measures of the active version on these sales.

    logError: mean absolute error of ln(1 + units); beyondScale: the share of rows that sold less
    or more than all sales that the version was trained on.
    """

    n: int
    coverage: float
    mean_interval_width: float
    log_error: float
    beyond_scale: float
    baselines: BaselinesResponse
    plots: dict[str, str]
    model_version: str

    @classmethod
    def of(cls, answer: EvaluationAnswer) -> "EvalResponse":
        """The response for one evaluation."""
        return cls(**answer.figures, plots=answer.plots, model_version=answer.model_version)


class RegressorVersionResponse(WireResponse):
    """One of the merchant's own versions; `metrics` are those on its test sales."""

    version: str
    status: str
    embedder_version: str
    metrics: Document
    plots: dict[str, str]
    created_at: datetime.datetime
    activated_at: datetime.datetime | None


@router.post("/predict", response_model_exclude_none=True)
async def score_product(body: PredictForm, user: Merchant, studio: StudioDep) -> PredictResponse:
    """Returns a picture's sales score, its interval, comparables and, on request, a heatmap."""
    return PredictResponse.of(await predict_sales(studio, user.id, body))


@router.post("/eval")
async def evaluate_scores(
    body: EvaluationForm, user: Merchant, studio: StudioDep, places: PlacesDep
) -> EvalResponse:
    """Measures the merchant's active version on observed sales."""
    async with places.evaluations.place(user.id):
        return EvalResponse.of(await evaluate_sales(studio, user.id, body))


@router.post("/train", status_code=202)
async def train_sales_model(
    body: TrainForm, user: Merchant, studio: StudioDep, idempotency_key: IdempotencyKey = None
) -> JobAccepted:
    """Trains a version on a sales CSV; it goes live only if it beats the active one."""
    job = await submit_job(
        studio, TRAIN_REGRESSOR, body, owner_id=user.id, idempotency_key=idempotency_key
    )
    return JobAccepted(job_id=job.id)


@router.get("/versions")
async def list_sales_versions(
    page: PageDep, user: Merchant, studio: StudioDep
) -> Page[RegressorVersionResponse]:
    """Lists the merchant's own versions, newest first."""
    rows = await list_versions(studio, user.id, limit=page.row_limit, after=page.after_name)
    return await page_of(rows, page, partial(to_version, studio), position=position_of)


async def to_version(studio: Studio, row: RegressorVersion) -> RegressorVersionResponse:
    """A version's row with signed URLs of its plots."""
    return RegressorVersionResponse.from_row(row, plots=await plot_urls(studio, row.version))


@router.post("/versions/{version}/activate")
async def activate_sales_version(
    version: VersionName, user: Merchant, studio: StudioDep
) -> ActivatedVersion:
    """Activates one of the merchant's own versions, or `starter`; also rolls back."""
    await activate_regressor(studio, user.id, version)
    return ActivatedVersion(version=version)
