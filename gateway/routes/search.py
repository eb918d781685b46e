"""Routes of search: by words, by picture, by both, and by similarity to a product."""

from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from gateway.deps import Anyone, Public, SearchKnowledgeDep, SearchLogDep, StudioDep
from gateway.wire import WireResponse
from models.index.shapes import PRICE_SCALE, Facet, PriceFacet
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
from studio.search.knowledge import SearchKnowledge
from studio.search.log import SearchLogWriter
from studio.search.suggest import Kind
from studio.search.understanding.understood import Understood

router = APIRouter(prefix="/api/search", tags=["search"])


class ResultResponse(WireResponse):
    """A product and its score."""

    id: str
    score: float
    title: str
    image: str
    category: str
    price: str
    currency: str
    brand: str | None
    in_stock: bool
    group_id: str | None
    pinned: bool
    variants: list["ResultResponse"] | None = None

    @classmethod
    def of(cls, match: search.Match, *, is_grouped: bool = False) -> "ResultResponse":
        """The wire form of a match; `is_grouped`: it shows the others of its group."""
        product = match.product
        return cls.from_row(
            product,
            score=match.score,
            image=match.image,
            pinned=match.is_pinned,
            price=f"{product.price:f}",
            variants=[cls.of(one) for one in match.variants] if is_grouped else None,
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


class UnderstoodFiltersResponse(WireResponse):
    """Filters that were read out of words; each field is as in a search's own filters."""

    category: list[str] | None = None
    brand: list[str] | None = None
    price_min: float | int | None = None
    price_max: float | int | None = None
    currency: str | None = None
    in_stock: bool | None = None
    attributes: dict[str, list[str]] | None = None

    @model_serializer(mode="wrap")
    def leave_out_unset(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Writes only the filters that were read."""
        fields: dict[str, Any] = write(self)
        return {name: value for name, value in fields.items() if value is not None}


class UnderstoodResponse(WireResponse):
    """What was read out of the words; `text` is searched for, `sort` null unless they name one."""

    text: str
    filters: UnderstoodFiltersResponse
    without: UnderstoodFiltersResponse = Field(serialization_alias="not")
    sort: str | None

    @classmethod
    def of(cls, understood: Understood) -> "UnderstoodResponse":
        """The wire form of what was understood."""
        params = understood.to_params()
        return cls(
            text=understood.text,
            filters=UnderstoodFiltersResponse(**params.get("filters", {})),
            without=UnderstoodFiltersResponse(**params.get("not", {})),
            sort=understood.sort,
        )


class SearchResponse(WireResponse):
    """A page of products, counts over all pages, and the index version that answered.

    `facets` is null unless some were asked for; `nextCursor` is null on the last page.
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


class SuggestionResponse(WireResponse):
    """A text to search for. `kind`: what it is; `productId` where it is a product's title."""

    text: str
    kind: Kind
    product_id: str | None


class SuggestResponse(WireResponse):
    """Suggestions, the best first."""

    suggestions: list[SuggestionResponse]


SuggestQuery = Annotated[Storable, Query(min_length=1, max_length=100)]
SuggestLimit = Annotated[int, Query(ge=1, le=20)]


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
    form: TextSearchForm,
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


@router.get("/suggest", dependencies=[Public])
async def suggest(
    knowledge: SearchKnowledgeDep, q: SuggestQuery, limit: SuggestLimit = 8
) -> SuggestResponse:
    """Suggests queries, categories, brands and products while somebody types."""
    suggestions = await knowledge.suggest(q, limit)
    return SuggestResponse(
        suggestions=[
            SuggestionResponse.from_row(one, product_id=one.product_id) for one in suggestions
        ]
    )


@router.get("/similar/{product_id}")
async def search_similar(
    product_id: Storable,
    user: Anyone,
    studio: StudioDep,
    knowledge: SearchKnowledgeDep,
    log: SearchLogDep,
    top_k: Annotated[int, Query(alias="topK", ge=1, le=200)] = 10,
) -> SearchResponse:
    """Finds products that look like this one; the product itself is left out."""
    form = SimilarSearchForm.model_validate({"similarTo": product_id, "topK": top_k})
    return await answer(studio, knowledge, log, user, form)
