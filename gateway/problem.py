"""Problem documents (RFC 9457): the format of all error responses."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.responses import Response
from starlette.types import Scope

from studio.context import current_request_id

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:ai-fashion-studio:problem:"
MAX_DETAIL_CHARS = 1000
MAX_INSTANCE_CHARS = 1000

TEXT = {"type": "string"}
FIELD_ERROR_SCHEMA = {
    "type": "object",
    "title": "FieldError",
    "description": "A wrong field; `path` is a JSON pointer into `in` (body, query, path, ...)",
    "required": ["in", "path", "code", "detail"],
    "properties": {"in": TEXT, "path": TEXT, "code": TEXT, "detail": TEXT},
}
PROBLEM_SCHEMA = {
    "type": "object",
    "title": "Problem",
    "required": ["type", "title", "status", "detail", "instance", "requestId"],
    "properties": {
        "type": TEXT,
        "title": TEXT,
        "status": {"type": "integer"},
        "detail": TEXT,
        "instance": TEXT,
        "requestId": TEXT,
        "errors": {"type": "array", "items": {"$ref": "#/components/schemas/FieldError"}},
    },
}


@dataclass(frozen=True)
class ProblemType:
    """The status, slug and title of one class of errors."""

    status: int
    slug: str
    title: str


class ProblemResponse(Response):
    """`application/problem+json` in ASCII: a text may hold characters that UTF-8 can't encode."""

    media_type = MEDIA_TYPE

    def render(self, content: Any) -> bytes:
        """Serialises a JSON value."""
        return json.dumps(content, separators=(",", ":")).encode("ascii")


def problem(
    scope: Scope,
    status: int,
    *,
    slug: str | None = None,
    title: str | None = None,
    detail: str | None = None,
    errors: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> ProblemResponse:
    """Builds the document of one failed request; slug and title default to those of the status.

    The detail may quote the caller's text, and the path is the caller's: both are cut.
    """
    phrase = HTTPStatus(status).phrase
    document: dict[str, Any] = {
        "type": TYPE_PREFIX + (slug or phrase.lower().replace(" ", "-").replace("'", "")),
        "title": title or phrase,
        "status": status,
        "detail": (detail or phrase)[:MAX_DETAIL_CHARS],
        "instance": scope.get("path", "/")[:MAX_INSTANCE_CHARS],
        "requestId": current_request_id(),
    }
    if errors:
        document["errors"] = [dict(error) for error in errors]
    return ProblemResponse(document, status_code=status, headers=dict(headers or {}))
