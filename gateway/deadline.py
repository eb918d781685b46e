"""The layer that bounds the work of a request: by `X-Request-Deadline-Ms`, or by its route."""

from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.error_answers import validation_problem
from gateway.limits import route_class_of
from studio.context import Deadline, within

HEADER = "X-Request-Deadline-Ms"
MAX_MS = 600_000
ROUTE_LIMITS_S = {"search": 30.0, "cv": 120.0}
"""The route's own deadlines by route class; others have none: exports and events take long."""
PARAMETER = "RequestDeadline"
PARAMETER_REF = {"$ref": f"#/components/parameters/{PARAMETER}"}
DESCRIPTION = (
    "The time in milliseconds after which the caller no longer waits. Work that has not ended "
    "by then is dropped everywhere, and the answer is a 504. What the request has "
    "written by then stays written, so repeat it under the same Idempotency-Key. Jobs that it has "
    "created continue."
)


class BadDeadline(ValueError):
    """The header is not a number of milliseconds within the limits."""


def read_deadline(scope: Scope) -> Deadline | None:
    """The earlier one of the caller's and the route's deadline; None without either.

    Raises:
        BadDeadline: the header has another value.
    """
    limit_s = ROUTE_LIMITS_S.get(route_class_of(scope["method"], scope["path"]) or "")
    values = Headers(scope=scope).getlist(HEADER)
    if values:
        own_s = read_ms(values) / 1000
        limit_s = own_s if limit_s is None else min(own_s, limit_s)
    return None if limit_s is None else Deadline.after(limit_s)


def read_ms(values: list[str]) -> int:
    """Parses the header's only value.

    Raises:
        BadDeadline: there are several, or it is not a whole number of 1 to `MAX_MS`.
    """
    text = values[0] if len(values) == 1 else ""
    if text.isascii() and text.isdigit() and len(text) <= len(str(MAX_MS)):
        milliseconds = int(text)
        if 1 <= milliseconds <= MAX_MS:
            return milliseconds
    raise BadDeadline(f"{HEADER} must be one whole number of milliseconds, 1 to {MAX_MS}")


class DeadlineLayer:
    """Cancels a request whose deadline passes; `LastHandler` answers 504.

    An answer that has started by then is cut off, and its connection closed.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves the request within its deadline; answers 422 if the header is wrong.

        Raises:
            DeadlinePassed: it was not served in time.
        """
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            deadline = read_deadline(scope)
        except BadDeadline as error:
            detail = {"type": "deadline", "loc": ("header", HEADER), "msg": str(error)}
            refusal = validation_problem(scope, RequestValidationError([detail]))
            await refusal(scope, receive, send)
            return
        async with within(deadline):
            await self.app(scope, receive, send)


def describe_header(document: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI document with the header as a parameter of every operation, described once."""
    parameter = {
        "name": HEADER, "in": "header", "required": False, "description": DESCRIPTION,
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_MS}, "example": 10_000,
    }  # fmt: skip
    components = document.get("components", {})
    parameters = components.get("parameters", {}) | {PARAMETER: parameter}
    return document | {
        "components": components | {"parameters": parameters},
        "paths": {
            path: {method: with_header(operation) for method, operation in operations.items()}
            for path, operations in document["paths"].items()
        },
    }


def with_header(operation: dict[str, Any]) -> dict[str, Any]:
    """An operation of the document with a reference to the header."""
    return operation | {"parameters": [*operation.get("parameters", ()), PARAMETER_REF]}
