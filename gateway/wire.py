"""The base shapes of what goes over the wire: camelCase outside, snake_case inside."""

from typing import Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from studio.forms import Form, Storable, refuse_unstorable, require_one_of

Item = TypeVar("Item")


class WireRequest(Form):
    """Base of request bodies."""


class WireResponse(BaseModel):
    """Base of answers; built in Python by snake_case names."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class JobAccepted(WireResponse):
    """Where to watch: GET /api/jobs/{jobId}, and its events."""

    job_id: UUID


class Page(WireResponse, Generic[Item]):
    """One page of a list, and where the next one starts."""

    items: list[Item]
    next_cursor: str | None


__all__ = [
    "JobAccepted",
    "Page",
    "Storable",
    "WireRequest",
    "WireResponse",
    "refuse_unstorable",
    "require_one_of",
]
