"""The wire form of what was read out of a search's words."""

from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from gateway.wire import WireResponse
from studio.search.understanding.understood import Understood


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
