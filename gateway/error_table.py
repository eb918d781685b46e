"""Which status, slug and title every failure gets, and the handlers that answer with them."""

from typing import Any, cast

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import errors
from errors import StudioError
from gateway.problem import ProblemType, problem

MAX_FIELD_ERRORS = 50
DEFAULT_RETRY_AFTER_S = 2

log = structlog.get_logger("studio.gateway")


TABLE: dict[type[StudioError], ProblemType] = {
    errors.Malformed: ProblemType(400, "malformed", "The request can't be read"),
    errors.NotAuthenticated: ProblemType(401, "not-authenticated", "Sign in first"),
    errors.Forbidden: ProblemType(403, "forbidden", "Not allowed"),
    errors.NotFound: ProblemType(404, "not-found", "Not found"),
    errors.Conflict: ProblemType(409, "conflict", "Conflict"),
    errors.TooLarge: ProblemType(413, "too-large", "Too large"),
    errors.NotAnImage: ProblemType(415, "not-an-image", "Not an image"),
    errors.Invalid: ProblemType(422, "invalid", "Not acceptable as it is"),
    errors.RateLimited: ProblemType(429, "rate-limited", "Too many requests"),
    errors.UpstreamFailed: ProblemType(502, "upstream-failed", "Another system failed"),
    errors.Unavailable: ProblemType(503, "unavailable", "Not available right now"),
    errors.DeadlinePassed: ProblemType(504, "deadline-passed", "It took too long"),
}


def problem_type_of(error: StudioError) -> ProblemType | None:
    """The row of the nearest class in the error's ancestry."""
    return next((TABLE[kind] for kind in type(error).__mro__ if kind in TABLE), None)


def studio_problem(scope: Scope, error: StudioError) -> Response:
    """An expected failure -> its document; an unlisted one is a 500 that tells nothing."""
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


def field_error(found: dict[str, Any]) -> dict[str, str]:
    """One finding of pydantic -> place and reason; the refused value is never echoed."""
    place, *path = found["loc"] or ("body",)
    steps = [str(step).replace("~", "~0").replace("/", "~1") for step in path]
    return {
        "in": str(place),
        "path": "".join(f"/{step}"[:200] for step in steps),
        "code": str(found["type"]),
        "detail": str(found["msg"]).removeprefix("Value error, ")[:500],
    }


def validation_problem(scope: Scope, error: RequestValidationError) -> Response:
    """422 with every wrong field, or 400 where the body is no JSON at all."""
    found = error.errors()
    if any(item["type"] == "json_invalid" for item in found):
        return studio_problem(scope, errors.Malformed("the body is not valid JSON"))
    fields = [field_error(item) for item in found[:MAX_FIELD_ERRORS]]
    told = "; ".join(f"{field['path'] or field['in']}: {field['detail']}" for field in fields[:5])
    return problem(
        scope,
        422,
        slug="invalid",
        title=TABLE[errors.Invalid].title,
        detail=told[:1000],
        errors=fields,
    )


def http_problem(scope: Scope, error: HTTPException) -> Response:
    """What the framework itself refuses: unknown paths, wrong methods, broken forms."""
    return problem(scope, error.status_code, detail=str(error.detail), headers=error.headers)


def register_handlers(app: FastAPI) -> None:
    """Every expected failure inside a route becomes a problem document."""

    async def on_studio_error(request: Request, error: Exception) -> Response:
        return studio_problem(request.scope, cast(StudioError, error))

    async def on_validation_error(request: Request, error: Exception) -> Response:
        return validation_problem(request.scope, cast(RequestValidationError, error))

    async def on_http_exception(request: Request, error: Exception) -> Response:
        return http_problem(request.scope, cast(HTTPException, error))

    app.add_exception_handler(StudioError, on_studio_error)
    app.add_exception_handler(RequestValidationError, on_validation_error)
    app.add_exception_handler(HTTPException, on_http_exception)


class LastHandler:
    """Turns what nobody expected into a 500 without internals, and logs the whole of it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Middleware errors that are StudioErrors get their own document here too."""
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except ClientDisconnect:
            return  # nobody is left to answer
        except StudioError as error:
            if started:
                raise
            await studio_problem(scope, error)(scope, receive, send)
        except HTTPException as error:
            if started:
                raise
            await http_problem(scope, error)(scope, receive, send)
        except Exception:
            log.exception("unexpected error", path=scope.get("path"))
            if started:
                raise
            detail = "something went wrong on our side; quote the requestId"
            await problem(scope, 500, slug="internal", detail=detail)(scope, receive, send)
