"""The base class of request bodies and job payloads: camelCase in JSON, only storable values."""

import hashlib
import json
import math
import re
from typing import Annotated, Any
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
MAX_PRODUCT_ID_CHARS = 200


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


def check_product_id(text: str) -> str:
    """Returns the id unchanged.

    Raises:
        ValueError: it is not an id that a path can contain.
    """
    if not 1 <= len(text) <= MAX_PRODUCT_ID_CHARS:
        raise ValueError(
            f"an id has 1 to {MAX_PRODUCT_ID_CHARS} characters; this one has {len(text):,}"
        )
    if "/" in text or CONTROL.search(text):
        raise ValueError("an id contains no / and no control characters")
    if text in {".", ".."}:
        raise ValueError("an id can't be . or .., which have a meaning in paths")
    if text != text.strip():
        raise ValueError("an id has no space at its start or end")
    return text


ProductId = Annotated[
    Storable,
    AfterValidator(check_product_id),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_PRODUCT_ID_CHARS,
            "pattern": r"^[^/\u0000-\u001f\u007f-\u009f]+$",
            "examples": ["coat-1"],
        }
    ),
]
"""The id that a merchant chose for a product, or a new UUID."""


def require_web_address(url: str) -> str:
    """Returns the address unchanged.

    Raises:
        ValueError: it is not a valid http or https address.
    """
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_good = False
    if not is_good or not url.isascii() or any(char.isspace() for char in url):
        raise ValueError("must be an http or https address")
    return url


WebAddress = Annotated[str, Field(max_length=2000), AfterValidator(require_web_address)]
"""The address of a page, for browsers; the studio never calls it."""

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
