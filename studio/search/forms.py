"""The forms of the four searches."""

from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, model_validator

from models.index.shapes import NO_FILTERS, Filters
from studio.forms import Form, PictureUrl, fingerprint, require_one_of
from studio.search.filters import FiltersForm

DEFAULT_ALPHA = 0.5
DEFAULT_WORDS = 0.5
"""The weight of the catalogue's words beside the pictures."""


def refuse_blank(text: str) -> str:
    """Checks that the text contains more than white space.

    Raises:
        ValueError: the text is only white space.
    """
    if not text.strip():
        raise ValueError("must hold more than white space")
    return text


Text = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(refuse_blank)]
Share = Annotated[float, Field(ge=0, le=1)]
Switch = Annotated[bool, Field(strict=True)]
TopK = Annotated[int, Field(strict=True, ge=1, le=200)]
FacetName = Annotated[str, Field(pattern=r"^(category|brand|inStock|price|attributes\..{1,64})$")]
SortName = Literal["relevance", "priceAsc", "priceDesc", "newest"]
MOST_FACETS = 20
PAGE_FIELDS = {"is_next_page", "top_k", "facets"}
"""Fields that may differ between the pages of one query."""


class SearchForm(Form):
    """The fields of every search.

    Attributes:
        cursor: of the previous page's answer; the other fields are those of that search.
        facets: what the products of all pages are counted by.
        group_by: the answer has the best product of each group, with the others as its variants.
    """

    type: ClassVar[str]
    top_k: TopK = 10
    filters: FiltersForm | None = None
    sort: SortName = "relevance"
    cursor: Annotated[str, Field(min_length=1, max_length=30_000)] | None = None
    facets: Annotated[list[FacetName], Field(max_length=MOST_FACETS, fail_fast=True)] = []
    group_by: Literal["groupId"] | None = None

    def fingerprint(self) -> str:
        """Equal for the pages of one query."""
        params = self.to_params()
        fields = {name: params[name] for name in params.keys() - PAGE_FIELDS}
        return fingerprint({**fields, "type": self.type})

    def to_filters(self) -> Filters:
        """The filters as the index applies them."""
        return NO_FILTERS if self.filters is None else self.filters.to_filters()

    def to_params(self) -> dict[str, Any]:
        """The form as a row of the search log stores it."""
        params: dict[str, Any] = self.model_dump(
            exclude_none=True, exclude_defaults=True, exclude={"filters", "cursor"}
        )
        if self.cursor is not None:
            params["is_next_page"] = True
        filters = {} if self.filters is None else self.filters.to_params()
        return {"alpha": DEFAULT_ALPHA, "top_k": self.top_k, **params, "filters": filters}


class TextSearchForm(SearchForm):
    """A search by words.

    `words`: the weight of matches in the catalogue's texts; 0 compares pictures alone.
    `understand`: prices, colours, brands, negation and the like are read out of the query.
    """

    type = "text"
    query: Text
    words: Share = DEFAULT_WORDS
    understand: Switch = True


class PictureSearchForm(SearchForm):
    """A search by a picture, named by exactly one of `image_url` and `file_id`."""

    image_url: PictureUrl | None = None
    file_id: UUID | None = None

    @model_validator(mode="after")
    def require_one_picture(self) -> "PictureSearchForm":
        """Checks that the form names exactly one picture.

        Raises:
            ValueError: both names are given, or neither.
        """
        require_one_of(self.image_url, self.file_id)
        return self

    def to_params(self) -> dict[str, Any]:
        """Leaves out the signature of the URL, which is a credential."""
        params = super().to_params()
        if self.image_url is not None:
            params["image_url"] = self.image_url.split("?")[0]
        if self.file_id is not None:
            params["file_id"] = str(self.file_id)
        return params


class ImageSearchForm(PictureSearchForm):
    """A search by a picture alone."""

    type = "image"


class HybridSearchForm(PictureSearchForm):
    """A search by a picture and words; alpha 1 is the picture alone, 0 the words alone.

    `words`, `understand`: as in a text search, of the part that is not the picture's.
    """

    type = "hybrid"
    query: Text
    alpha: Share = DEFAULT_ALPHA
    words: Share = DEFAULT_WORDS
    understand: Switch = True


class SimilarSearchForm(SearchForm):
    """A search for the neighbours of a product."""

    type = "similar"
    similar_to: str
