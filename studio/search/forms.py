"""The forms of the four searches, and the filters that they share."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from models.index.shapes import NO_FILTERS, PRICE_SCALE, Filters
from studio.forms import Form, PictureUrl, require_one_of

DEFAULT_ALPHA = 0.5


def refuse_blank(text: str) -> str:
    """Checks that the text contains more than white space.

    Raises:
        ValueError: the text is only white space.
    """
    if not text.strip():
        raise ValueError("must hold more than white space")
    return text


def as_list(value: object) -> object:
    """A single text as a list of one."""
    return [value] if isinstance(value, str) else value


Text = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(refuse_blank)]
TopK = Annotated[int, Field(strict=True, ge=1, le=200)]
Texts = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=200)]],
    Field(min_length=1, max_length=100, fail_fast=True),
    BeforeValidator(as_list),
]
Price = Annotated[Decimal, Field(ge=0, le=1_000_000_000)]


class FiltersForm(Form):
    """Which products a search may return; texts compare without case."""

    category: Texts | None = None
    brand: Texts | None = None
    price_min: Price | None = None
    price_max: Price | None = None
    in_stock: Annotated[bool, Field(strict=True)] | None = None

    @model_validator(mode="after")
    def refuse_empty_range(self) -> "FiltersForm":
        """Checks that some price is in the range.

        Raises:
            ValueError: the range of prices is empty.
        """
        low, high = self.price_min, self.price_max
        if low is not None and high is not None and low > high:
            raise ValueError("priceMin is above priceMax")
        return self

    def to_filters(self) -> Filters:
        """The filters as the index applies them."""
        return Filters(
            category=frozenset(self.category or ()),
            brand=frozenset(self.brand or ()),
            price_min_e4=_to_e4(self.price_min, ROUND_CEILING),
            price_max_e4=_to_e4(self.price_max, ROUND_FLOOR),
            in_stock=self.in_stock,
        )

    def to_params(self) -> dict[str, Any]:
        """The filters as a row of the search log stores them."""
        params: dict[str, Any] = self.model_dump(exclude_none=True)
        for name in {"category", "brand"} & params.keys():
            params[name] = sorted(set(params[name]))
        for name in {"price_min", "price_max"} & params.keys():
            params[name] = float(params[name])
        return params


def _to_e4(price: Decimal | None, rounding: str) -> int | None:
    """A bound in ten-thousandths. Prices have at most four decimals, so rounding loses none."""
    if price is None:
        return None
    return int((price * PRICE_SCALE).to_integral_value(rounding))


class SearchForm(Form):
    """The fields of every search."""

    type: ClassVar[str]
    top_k: TopK = 10
    filters: FiltersForm | None = None

    def to_filters(self) -> Filters:
        """The filters as the index applies them."""
        return NO_FILTERS if self.filters is None else self.filters.to_filters()

    def to_params(self) -> dict[str, Any]:
        """The form as a row of the search log stores it."""
        params: dict[str, Any] = self.model_dump(exclude_none=True, exclude={"filters"})
        filters = {} if self.filters is None else self.filters.to_params()
        return {"alpha": DEFAULT_ALPHA, **params, "filters": filters}


class TextSearchForm(SearchForm):
    """A search by words."""

    type = "text"
    query: Text


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
    """A search by a picture and words; alpha 1 is the picture alone, 0 the words alone."""

    type = "hybrid"
    query: Text
    alpha: Annotated[float, Field(ge=0, le=1)] = DEFAULT_ALPHA


class SimilarSearchForm(SearchForm):
    """A search for the neighbours of a product."""

    type = "similar"
    similar_to: str
