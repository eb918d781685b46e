"""Routes of search: by words, by picture, by both, and by similarity to a product."""

import json
from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Query
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.models import Example
from pydantic import Field, ValidationError

from errors import Malformed
from gateway.deps import Anyone, SearchKnowledgeDep, SearchLogDep, StudioDep
from gateway.product_wire import ProductSummary
from gateway.understood_wire import UnderstoodResponse
from gateway.wire import WireResponse
from models.index.shapes import PRICE_SCALE, Facet, PriceFacet
from studio.context import current_request_id
from studio.forms import Storable
from studio.search import search
from studio.search.forms import (
    MOST_FACETS,
    FacetName,
    HybridSearchForm,
    ImageSearchForm,
    SearchForm,
    SimilarSearchForm,
    SortName,
    TextSearchForm,
)
from studio.search.knowledge import SearchKnowledge
from studio.search.log import SearchLogWriter

TEXT_EXAMPLES: dict[str, Example] = {
    "words": {"summary": "Words alone", "value": {"query": "red dress"}},
    "shop": {
        "summary": "A page of a shop: filters, facets and an order",
        "value": {
            "query": "dress",
            "topK": 12,
            "filters": {"priceMax": "80", "not": {"attributes": {"pattern": "striped"}}},
            "facets": ["category", "brand", "price", "attributes.colour"],
            "sort": "priceAsc",
        },
    },
    "groups": {
        "summary": "One product of each group, in stock",
        "value": {"query": "shirt", "filters": {"inStock": True}, "groupBy": "groupId"},
    },
}

router = APIRouter(prefix="/api/search", tags=["search"])


class ResultResponse(ProductSummary):
    """A product and its score. `pinned`: a rule of the shop puts it first."""

    score: float
    pinned: bool
    variants: list["ResultResponse"] | None = None

    @classmethod
    def of(cls, match: search.Match, *, is_grouped: bool = False) -> "ResultResponse":
        """The wire form of a match; `is_grouped`: it shows the others of its group."""
        variants = [cls.of(one) for one in match.variants] if is_grouped else None
        return cls.of_product(
            match.product,
            image=match.image,
            score=match.score,
            pinned=match.is_pinned,
            variants=variants,
        )


class ValueCountResponse(WireResponse):
    """A value and the number of products, or of groups, that have it."""

    value: str | bool
    count: int


class PriceRangeResponse(WireResponse):
    """A range of prices, without its upper bound, and the number of products in it."""

    start: str = Field(serialization_alias="from")
    end: str = Field(serialization_alias="to")
    count: int


class PricesResponse(WireResponse):
    """The lowest and the highest price, and the ranges that have products."""

    min: str | None
    max: str | None
    ranges: list[PriceRangeResponse]


FacetResponse = list[ValueCountResponse] | PricesResponse


def to_facet(name: str, facet: Facet) -> FacetResponse:
    """The wire form of a facet."""
    if isinstance(facet, PriceFacet):
        ranges = [
            PriceRangeResponse(start=to_price(start), end=to_price(end), count=count)
            for start, end, count in facet.ranges
        ]
        low, high = facet.min_e4, facet.max_e4
        return PricesResponse(
            min=None if low is None else to_price(low),
            max=None if high is None else to_price(high),
            ranges=ranges,
        )
    return [
        ValueCountResponse(value=value == "true" if name == "inStock" else value, count=count)
        for value, count in facet.values
    ]


def to_price(price_e4: int) -> str:
    """A price of a facet, with two decimals or as many as it has."""
    digits = f"{Decimal(price_e4) / PRICE_SCALE:.4f}"
    return digits.removesuffix("00")


class SearchResponse(WireResponse):
    """A page of products, counts over all pages, and the index version that answered.

    `facets` is null unless some were asked for; `nextCursor` is null on the last page;
    `understood` is null where words were searched for as they stand, or there were none.
    """

    results: list[ResultResponse]
    total: int
    facets: dict[str, FacetResponse] | None
    next_cursor: str | None
    did_you_mean: str | None
    understood: UnderstoodResponse | None
    index_version: str
    latency_ms: float
    request_id: str


async def answer(
    studio: StudioDep,
    knowledge: SearchKnowledge,
    log: SearchLogWriter,
    user: Anyone,
    form: SearchForm,
) -> SearchResponse:
    """Searches and returns the wire form of the result."""
    result = await search.search(studio, knowledge, log, user.id if user else None, form)
    understood = result.understood
    return SearchResponse(
        results=[
            ResultResponse.of(match, is_grouped=form.group_by is not None)
            for match in result.matches
        ],
        total=result.total,
        facets={name: to_facet(name, facet) for name, facet in result.facets.items()} or None,
        next_cursor=result.next_cursor,
        did_you_mean=result.did_you_mean,
        understood=None if understood is None else UnderstoodResponse.of(understood),
        index_version=result.index_version,
        latency_ms=result.latency_ms,
        request_id=current_request_id(),
    )


@router.post("/text")
async def search_text(
    form: Annotated[TextSearchForm, Body(openapi_examples=TEXT_EXAMPLES)],
    user: Anyone,
    studio: StudioDep,
    knowledge: SearchKnowledgeDep,
    log: SearchLogDep,
) -> SearchResponse:
    """Finds products that match the words."""
    return await answer(studio, knowledge, log, user, form)


@router.post("/image")
async def search_image(
    form: ImageSearchForm,
    user: Anyone,
    studio: StudioDep,
    knowledge: SearchKnowledgeDep,
    log: SearchLogDep,
) -> SearchResponse:
    """Finds products that look like the picture."""
    return await answer(studio, knowledge, log, user, form)


@router.post("/hybrid")
async def search_hybrid(
    form: HybridSearchForm,
    user: Anyone,
    studio: StudioDep,
    knowledge: SearchKnowledgeDep,
    log: SearchLogDep,
) -> SearchResponse:
    """Finds products that match picture and words, weighted by alpha."""
    return await answer(studio, knowledge, log, user, form)


def read_filters(
    filters: Annotated[
        str | None,
        Query(max_length=10_000, description="The filters of the other searches, as JSON."),
    ] = None,
) -> Any:
    """The filters of a search that has no body.

    Raises:
        Malformed: they are not JSON.
    """
    try:
        return None if filters is None else json.loads(filters)
    except (ValueError, RecursionError):
        raise Malformed("filters must be JSON") from None


@router.get("/similar/{product_id}")
async def search_similar(
    product_id: Storable,
    user: Anyone,
    studio: StudioDep,
    knowledge: SearchKnowledgeDep,
    log: SearchLogDep,
    filters: Annotated[Any, Depends(read_filters)],
    top_k: Annotated[int, Query(alias="topK", ge=1, le=200)] = 10,
    sort: SortName = "relevance",
    cursor: Annotated[str | None, Query(min_length=1, max_length=30_000)] = None,
    facets: Annotated[list[FacetName], Query(max_length=MOST_FACETS)] = [],  # noqa: B006
    group_by: Annotated[Literal["groupId"] | None, Query(alias="groupBy")] = None,
) -> SearchResponse:
    """Finds products that look like this one, which is left out (grouped, with its group)."""
    fields = {
        "similarTo": product_id, "topK": top_k, "filters": filters, "sort": sort,
        "cursor": cursor, "facets": facets, "groupBy": group_by,
    }  # fmt: skip
    try:
        form = SimilarSearchForm.model_validate(fields)
    except ValidationError as error:
        raise RequestValidationError(
            [
                {**one, "loc": ("query", *one["loc"])}
                for one in error.errors(include_input=False, include_url=False)
            ]
        ) from None
    return await answer(studio, knowledge, log, user, form)
