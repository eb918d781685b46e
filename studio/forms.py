"""The base of what callers send in: camelCase outside, snake_case inside, nothing unstorable."""

import math
import re
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
PRODUCT_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._~:-]{0,127}$"


def refuse_unstorable(value: Any) -> Any:
    """Refuses what JSON can spell and PostgreSQL can't keep, anywhere inside the value.

    Raises:
        ValueError: a NUL, half of a surrogate pair, NaN or an infinity.
    """
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, str):
            if UNSTORABLE.search(item):
                raise ValueError("contains a character that can't be stored")
        elif isinstance(item, float) and not math.isfinite(item):
            raise ValueError("contains a number that is not finite")
        elif isinstance(item, dict):
            left.extend(item.keys())
            left.extend(item.values())
        elif isinstance(item, list | tuple):
            left.extend(item)
    return value


def in_camel_case(value: Any) -> Any:
    """A document's names, at every depth, as the wire has them."""
    if isinstance(value, dict):
        return {to_camel(name): in_camel_case(one) for name, one in value.items()}
    return value


Storable = Annotated[str, AfterValidator(refuse_unstorable)]
"""A text outside a `WireRequest` (a path, a query, a form field) that a table can keep."""


def require_one_of(image_url: str | None, file_id: UUID | None) -> None:
    """A picture goes by exactly one of its names.

    Raises:
        ValueError: both are given, or none.
    """
    if (image_url is None) == (file_id is None):
        raise ValueError("give either imageUrl or fileId")


class Form(BaseModel):
    """Fields as a caller sent them: unknown ones and unstorable characters are refused."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", allow_inf_nan=False, frozen=True
    )

    @model_validator(mode="before")
    @classmethod
    def refuse_unstorable_input(cls, value: Any) -> Any:
        """Runs before any field is read."""
        return refuse_unstorable(value)
