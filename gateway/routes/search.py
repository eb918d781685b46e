"""Routes of search: by words, by picture, by both, and by similarity to a product."""

from typing import Annotated

from fastapi import APIRouter, Query

from gateway.deps import Anyone, SearchLogDep, StudioDep
from gateway.product_wire import ProductSummary
from gateway.wire import WireResponse
from studio.context import current_request_id
from studio.forms import Storable
from studio.search import search
from studio.search.forms import (
    HybridSearchForm,
    ImageSearchForm,
    SearchForm,
    SimilarSearchForm,
    TextSearchForm,
)
from studio.search.log import SearchLogWriter

router = APIRouter(prefix="/api/search", tags=["search"])


class ResultResponse(ProductSummary):
    """A product and its score."""

    score: float

    @classmethod
    def of(cls, match: search.Match) -> "ResultResponse":
        """The wire form of a match."""
        return cls.of_product(match.product, image=match.image, score=match.score)


class SearchResponse(WireResponse):
    """The products, best first, and the index version that answered."""

    results: list[ResultResponse]
    index_version: str
    latency_ms: float
    request_id: str


async def answer(
    studio: StudioDep, log: SearchLogWriter, user: Anyone, form: SearchForm
) -> SearchResponse:
    """Searches and returns the wire form of the result."""
    result = await search.search(studio, log, user.id if user else None, form)
    return SearchResponse(
        results=[ResultResponse.of(match) for match in result.matches],
        index_version=result.index_version,
        latency_ms=result.latency_ms,
        request_id=current_request_id(),
    )


@router.post("/text")
async def search_text(
    form: TextSearchForm, user: Anyone, studio: StudioDep, log: SearchLogDep
) -> SearchResponse:
    """Finds products that match the words."""
    return await answer(studio, log, user, form)


@router.post("/image")
async def search_image(
    form: ImageSearchForm, user: Anyone, studio: StudioDep, log: SearchLogDep
) -> SearchResponse:
    """Finds products that look like the picture."""
    return await answer(studio, log, user, form)


@router.post("/hybrid")
async def search_hybrid(
    form: HybridSearchForm, user: Anyone, studio: StudioDep, log: SearchLogDep
) -> SearchResponse:
    """Finds products that match picture and words, weighted by alpha."""
    return await answer(studio, log, user, form)


@router.get("/similar/{product_id}")
async def search_similar(
    product_id: Storable,
    user: Anyone,
    studio: StudioDep,
    log: SearchLogDep,
    top_k: Annotated[int, Query(alias="topK", ge=1, le=200)] = 10,
) -> SearchResponse:
    """Finds products that look like this one; the product itself is left out."""
    form = SimilarSearchForm.model_validate({"similarTo": product_id, "topK": top_k})
    return await answer(studio, log, user, form)
