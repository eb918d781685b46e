"""Routes of search: by words, by picture, by both, and more like a product."""

from decimal import Decimal
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gateway.deps import Anyone, SearchLogDep, StudioDep
from gateway.wire import Storable, WireRequest, WireResponse, require_one_of
from studio.context import current_request_id
from studio.ports import Filters
from studio.search import search
from studio.search.log import SearchLogWriter

router = APIRouter(prefix="/api/search", tags=["search"])


def refuse_blank(text: str) -> str:
    """Raises:
    ValueError: nothing but white space.
    """
    if not text.strip():
        raise ValueError("must hold more than white space")
    return text


def as_list(value: object) -> object:
    """One text or several."""
    return [value] if isinstance(value, str) else value


Text = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(refuse_blank)]
TopK = Annotated[int, Field(strict=True, ge=1, le=200)]
Words = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=200)]],
    Field(min_length=1, max_length=100, fail_fast=True),
    BeforeValidator(as_list),
]
Price = Annotated[Decimal, Field(ge=0, le=1_000_000_000)]


class FiltersRequest(WireRequest):
    """Which products may be found; texts compare without case."""

    category: Words | None = None
    brand: Words | None = None
    price_min: Price | None = None
    price_max: Price | None = None
    in_stock: Annotated[bool, Field(strict=True)] | None = None

    @model_validator(mode="after")
    def refuse_empty_range(self) -> "FiltersRequest":
        """A range that holds no price is a mistake, not a question."""
        if None not in (self.price_min, self.price_max) and self.price_min > self.price_max:  # type: ignore[operator]
            raise ValueError("priceMin is above priceMax")
        return self

    def to_filters(self) -> Filters:
        """Wire -> studio."""
        return Filters(
            category=frozenset(self.category or ()),
            brand=frozenset(self.brand or ()),
            price_min=None if self.price_min is None else float(self.price_min),
            price_max=None if self.price_max is None else float(self.price_max),
            in_stock=self.in_stock,
        )


class SearchBody(WireRequest):
    """What every search takes."""

    top_k: TopK = 10
    filters: FiltersRequest | None = None

    def to_filters(self) -> Filters:
        """The filters, or none."""
        return self.filters.to_filters() if self.filters else Filters()


class TextSearchRequest(SearchBody):
    """Search by words."""

    query: Text


class PictureBody(SearchBody):
    """A picture, by exactly one of its names."""

    image_url: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    file_id: UUID | None = None

    @model_validator(mode="after")
    def require_one_picture(self) -> "PictureBody":
        """Neither and both are mistakes."""
        require_one_of(self.image_url, self.file_id)
        return self


class ImageSearchRequest(PictureBody):
    """Search by picture."""


class HybridSearchRequest(PictureBody):
    """Search by picture and words; alpha 1 is the picture alone, 0 the words alone."""

    query: Text
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5


class ResultResponse(WireResponse):
    """A product that was found."""

    id: str
    score: float
    title: str
    image: str
    category: str
    price: str
    currency: str
    brand: str | None
    in_stock: bool


class SearchResponse(WireResponse):
    """The products, best first, and what answered."""

    results: list[ResultResponse]
    index_version: str
    latency_ms: float
    request_id: str


async def answer(
    studio: StudioDep, log: SearchLogWriter, user: Anyone, request: search.SearchRequest
) -> SearchResponse:
    """Searches and puts the answer into its wire shape."""
    found = await search.search(studio, log, user.id if user else None, request)
    results = [
        ResultResponse(
            id=one.product.id,
            score=one.score,
            title=one.product.title,
            image=one.image,
            category=one.product.category,
            price=f"{one.product.price:f}",
            currency=one.product.currency,
            brand=one.product.brand,
            in_stock=one.product.in_stock,
        )
        for one in found.results
    ]
    return SearchResponse(
        results=results,
        index_version=found.index_version,
        latency_ms=found.latency_ms,
        request_id=current_request_id(),
    )


@router.post("/text")
async def search_text(
    body: TextSearchRequest, user: Anyone, studio: StudioDep, log: SearchLogDep
) -> SearchResponse:
    """Products that fit the words."""
    request = search.SearchRequest(body.top_k, body.to_filters(), query=body.query)
    return await answer(studio, log, user, request)


@router.post("/image")
async def search_image(
    body: ImageSearchRequest, user: Anyone, studio: StudioDep, log: SearchLogDep
) -> SearchResponse:
    """Products that look like the picture."""
    request = search.SearchRequest(
        body.top_k, body.to_filters(), image_url=body.image_url, file_id=body.file_id
    )
    return await answer(studio, log, user, request)


@router.post("/hybrid")
async def search_hybrid(
    body: HybridSearchRequest, user: Anyone, studio: StudioDep, log: SearchLogDep
) -> SearchResponse:
    """Products that fit picture and words, weighed by alpha."""
    request = search.SearchRequest(
        body.top_k,
        body.to_filters(),
        query=body.query,
        image_url=body.image_url,
        file_id=body.file_id,
        alpha=body.alpha,
    )
    return await answer(studio, log, user, request)


@router.get("/similar/{product_id}")
async def search_similar(
    product_id: Storable,
    user: Anyone,
    studio: StudioDep,
    log: SearchLogDep,
    top_k: Annotated[int, Query(alias="topK", ge=1, le=200)] = 10,
) -> SearchResponse:
    """Products that look like this one, itself left out."""
    request = search.SearchRequest(top_k, similar_to=product_id)
    return await answer(studio, log, user, request)
