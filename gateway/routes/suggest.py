"""The route of suggestions while somebody types."""

from typing import Annotated

from fastapi import APIRouter, Query

from gateway.deps import Public, SearchKnowledgeDep
from gateway.wire import WireResponse
from studio.forms import Storable
from studio.search.suggest import Kind

router = APIRouter(prefix="/api/search", tags=["search"])

Beginning = Annotated[Storable, Query(min_length=1, max_length=100, examples=["red dr"])]
SuggestLimit = Annotated[int, Query(ge=1, le=20)]


class SuggestionResponse(WireResponse):
    """A text to search for. `kind`: what it is; `productId` where it is a product's title."""

    text: str
    kind: Kind
    product_id: str | None


class SuggestResponse(WireResponse):
    """Suggestions, the best first."""

    suggestions: list[SuggestionResponse]


@router.get("/suggest", dependencies=[Public])
async def suggest_queries(
    knowledge: SearchKnowledgeDep, q: Beginning, limit: SuggestLimit = 8
) -> SuggestResponse:
    """Suggests queries, categories, brands and products while somebody types."""
    suggestions = await knowledge.suggest(q, limit)
    return SuggestResponse(suggestions=[SuggestionResponse.from_row(one) for one in suggestions])
