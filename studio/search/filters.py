"""The filters that every search has: which products it may return, and which it leaves out."""

from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from models.index.shapes import PRICE_SCALE, Filters
from studio.forms import Form

MOST_ATTRIBUTES = 50


def as_list(value: object) -> object:
    """A single text as a list of one."""
    return [value] if isinstance(value, str) else value


Text200 = Annotated[str, Field(min_length=1, max_length=200)]
Text500 = Annotated[str, Field(min_length=1, max_length=500)]
SomeTexts = Field(min_length=1, max_length=100, fail_fast=True)
Texts = Annotated[list[Text200], SomeTexts, BeforeValidator(as_list)]
AttributeName = Annotated[str, Field(min_length=1, max_length=64)]
AttributeTexts = Annotated[list[Text500], SomeTexts, BeforeValidator(as_list)]
Price = Annotated[Decimal, Field(ge=0, le=1_000_000_000)]
LISTS = {"category", "brand", "group_id"}


class PlainFiltersForm(Form):
    """Conditions on products; texts compare without case."""

    category: Texts | None = None
    brand: Texts | None = None
    group_id: Texts | None = None
    price_min: Price | None = None
    price_max: Price | None = None
    currency: Annotated[str, Field(pattern=r"^[A-Za-z]{3}$")] | None = None
    in_stock: Annotated[bool, Field(strict=True)] | None = None
    attributes: (
        Annotated[dict[AttributeName, AttributeTexts], Field(max_length=MOST_ATTRIBUTES)] | None
    ) = None

    @model_validator(mode="after")
    def refuse_empty_range(self) -> "PlainFiltersForm":
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
        attributes = sorted((self.attributes or {}).items())
        return Filters(
            category=frozenset(self.category or ()),
            brand=frozenset(self.brand or ()),
            price_min_e4=_to_e4(self.price_min, ROUND_CEILING),
            price_max_e4=_to_e4(self.price_max, ROUND_FLOOR),
            in_stock=self.in_stock,
            group_id=frozenset(self.group_id or ()),
            currency=self.currency,
            attributes=tuple((name, frozenset(values)) for name, values in attributes),
        )

    def to_params(self) -> dict[str, Any]:
        """The filters as a row of the search log stores them."""
        params: dict[str, Any] = self.model_dump(exclude_none=True)
        for name in LISTS & params.keys():
            params[name] = sorted(set(params[name]))
        for name in {"price_min", "price_max"} & params.keys():
            params[name] = float(params[name])
        return params


class FiltersForm(PlainFiltersForm):
    """Which products a search may return; one that meets ANY condition of `not` is left out."""

    without: PlainFiltersForm | None = Field(None, alias="not")

    def to_filters(self) -> Filters:
        """The filters as the index applies them."""
        plain = super().to_filters()
        if self.without is None or (without := self.without.to_filters()).is_open:
            return plain
        return replace(plain, without=without)

    def to_params(self) -> dict[str, Any]:
        """The filters as a row of the search log stores them."""
        params = super().to_params()
        params.pop("without", None)
        return params if self.without is None else {**params, "not": self.without.to_params()}


def _to_e4(price: Decimal | None, rounding: str) -> int | None:
    """A bound in ten-thousandths. Prices have at most four decimals, so rounding loses none."""
    if price is None:
        return None
    return int((price * PRICE_SCALE).to_integral_value(rounding))
