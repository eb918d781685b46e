"""The base classes of request and response bodies: camelCase in JSON, snake_case in Python."""

from typing import Any, Generic, Self, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from studio.forms import Form


class WireRequest(Form):
    """Base of request bodies that are not the form of a use case."""


class WireResponse(BaseModel):
    """Base of response bodies.

    A response is built from a row by a class method: `from_row` where the row has every field,
    else the response's own `of`, which computes the others and calls `from_row`.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)

    @classmethod
    def from_row(cls, row: object, **fields: Any) -> Self:
        """Copies the row's attributes of the same names, except the fields that are given."""
        names = cls.model_fields.keys() - fields.keys()
        return cls(**{name: getattr(row, name) for name in names}, **fields)


Item = TypeVar("Item", bound=WireResponse)


class JobAccepted(WireResponse):
    """An accepted job; `GET /api/jobs/{jobId}` shows its state."""

    job_id: UUID


class Page(WireResponse, Generic[Item]):
    """One page of a list; `nextCursor` starts the next page and is null on the last one."""

    items: list[Item]
    next_cursor: str | None
