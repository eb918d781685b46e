"""The base class of request bodies and job payloads: camelCase in JSON, only storable values."""

import hashlib
import json
import math
import re
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
PRODUCT_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._~:-]{0,127}$"


def refuse_unstorable(value: Any) -> Any:
    """Refuses values that JSON can express and PostgreSQL can't store, at any depth.

    Raises:
        ValueError: there is a NUL, half of a surrogate pair, NaN or an infinity.
    """
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            if UNSTORABLE.search(item):
                raise ValueError("contains a character that can't be stored")
        elif isinstance(item, float) and not math.isfinite(item):
            raise ValueError("contains a number that is not finite")
        elif isinstance(item, dict):
            stack.extend(item.keys())
            stack.extend(item.values())
        elif isinstance(item, list | tuple):
            stack.extend(item)
    return value


def in_camel_case(value: Any) -> Any:
    """Converts the names of a document to camelCase, at every depth of its objects."""
    if isinstance(value, dict):
        return {to_camel(name): in_camel_case(inner) for name, inner in value.items()}
    return value


Storable = Annotated[str, AfterValidator(refuse_unstorable)]
"""Text outside of a `Form` (in a path, a query or a header) that a table can store."""


PictureUrl = Annotated[str, Field(min_length=1, max_length=4096)]
"""The URL of a picture, the studio's own or another."""


def require_one_of(image_url: str | None, file_id: UUID | None) -> None:
    """Checks that a picture is named in exactly one way.

    Raises:
        ValueError: both names are given, or neither.
    """
    if (image_url is None) == (file_id is None):
        raise ValueError("give either imageUrl or fileId")


class Form(BaseModel):
    """Input of a caller; unknown fields and values that can't be stored are refused."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", allow_inf_nan=False, frozen=True
    )

    @model_validator(mode="before")
    @classmethod
    def refuse_unstorable_input(cls, value: Any) -> Any:
        """Checks the whole input before any field is validated."""
        return refuse_unstorable(value)


def fingerprint(value: Any) -> str:
    """A hash that is equal for equal JSON values."""
    plain = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(plain.encode()).hexdigest()
