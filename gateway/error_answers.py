"""The problem document that answers each kind of expected error, and the handlers that send it."""

from typing import Any, cast

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from errors import Invalid, Malformed, StudioError
from gateway.error_table import TABLE, problem_type_of
from gateway.problem import problem

MAX_FIELD_ERRORS = 50
DEFAULT_RETRY_AFTER_S = 2

log = structlog.get_logger("studio.gateway")


def studio_problem(scope: Scope, error: StudioError) -> Response:
    """The document of a `StudioError`; a class without an entry in the table becomes a 500."""
    kind = problem_type_of(error)
    if kind is None:
        log.error("unlisted error", error=repr(error))
        return problem(scope, 500)
    headers = {}
    if kind.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if kind.status in (429, 503):
        headers["Retry-After"] = str(getattr(error, "retry_after_s", DEFAULT_RETRY_AFTER_S))
    return problem(
        scope, kind.status, slug=kind.slug, title=kind.title, detail=error.detail, headers=headers
    )


def field_error(error: dict[str, Any]) -> dict[str, str]:
    """One error of pydantic as an entry of `errors`; it never repeats the refused value."""
    place, *path = error["loc"] or ("body",)
    steps = [str(step).replace("~", "~0").replace("/", "~1") for step in path]
    return {
        "in": str(place),
        "path": "".join(f"/{step}"[:200] for step in steps),
        "code": str(error["type"]),
        "detail": str(error["msg"]).removeprefix("Value error, ")[:500],
    }


def validation_problem(scope: Scope, error: RequestValidationError) -> Response:
    """Answers 422 with the wrong fields, or 400 if the body is not JSON."""
    items = error.errors()
    if any(item["type"] == "json_invalid" for item in items):
        return studio_problem(scope, Malformed("the body is not valid JSON"))
    fields = [field_error(item) for item in items[:MAX_FIELD_ERRORS]]
    detail = "; ".join(f"{field['path'] or field['in']}: {field['detail']}" for field in fields[:5])
    return problem(
        scope,
        422,
        slug="invalid",
        title=TABLE[Invalid].title,
        detail=detail[:1000],
        errors=fields,
    )


def http_problem(scope: Scope, error: HTTPException) -> Response:
    """The document of an error of the framework: unknown path, wrong method, malformed form."""
    return problem(scope, error.status_code, detail=str(error.detail), headers=error.headers)


def register_handlers(app: FastAPI) -> None:
    """Makes the app answer every expected error of a route with a problem document."""

    async def on_studio_error(request: Request, error: Exception) -> Response:
        return studio_problem(request.scope, cast(StudioError, error))

    async def on_validation_error(request: Request, error: Exception) -> Response:
        return validation_problem(request.scope, cast(RequestValidationError, error))

    async def on_http_exception(request: Request, error: Exception) -> Response:
        return http_problem(request.scope, cast(HTTPException, error))

    app.add_exception_handler(StudioError, on_studio_error)
    app.add_exception_handler(RequestValidationError, on_validation_error)
    app.add_exception_handler(HTTPException, on_http_exception)
