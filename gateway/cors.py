"""The layer that lets pages of other origins call the API (CORS, as the Fetch standard says).

Starlette's own layer answers refused preflights with plain text, and sends `Vary: Origin` only to
the origins that it knows; a browser would then use a cached picture without the header.
"""

from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.problem import problem

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
ALLOWED_HEADERS = (
    "Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "X-Request-Deadline-Ms",
    "X-Request-ID", "x-ms-blob-type",
)  # fmt: skip
EXPOSED_HEADERS = ("RateLimit", "Retry-After", "X-Request-ID")
PREFLIGHT_S = 7200
"""How long a browser may remember the answer to a preflight; Chromium's maximum."""
PREFLIGHT_HEADERS = {
    "Access-Control-Allow-Methods": ", ".join(METHODS),
    "Access-Control-Allow-Headers": ", ".join(ALLOWED_HEADERS),
    "Access-Control-Max-Age": str(PREFLIGHT_S),
}


class Cors:
    """Marks every answer for the pages of the named origins, and answers their preflights.

    Credentials are not allowed: tokens travel in a header, never in a cookie.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self.app = app
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves the request. A preflight reaches no other layer, so it needs no token."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        is_allowed = origin in self._origins

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                answer.add_vary_header("Origin")
                if origin is not None and is_allowed:
                    answer["Access-Control-Allow-Origin"] = origin
                    answer["Access-Control-Expose-Headers"] = ", ".join(EXPOSED_HEADERS)
            await send(message)

        if origin is not None and is_preflight(scope, headers):
            answer = allow() if is_allowed else refuse(scope)
            await answer(scope, receive, send_marked)
        else:
            await self.app(scope, receive, send_marked)


def is_preflight(scope: Scope, headers: Headers) -> bool:
    """Whether a browser asks if it may send the request itself."""
    return bool(scope["method"] == "OPTIONS" and "access-control-request-method" in headers)


def allow() -> Response:
    """The answer to a preflight of an allowed origin; the browser compares method and headers."""
    return Response(status_code=204, headers=PREFLIGHT_HEADERS)


def refuse(scope: Scope) -> Response:
    """The answer to a preflight of another origin; the browser's developer tools show it."""
    detail = "pages of this origin may not call the API: STUDIO_CORS_ORIGINS does not name it"
    return problem(scope, 403, slug="forbidden", detail=detail)
