"""The outermost layer: request id, security headers, spans, and the access log."""

import re
import time
from collections.abc import Callable, Sequence
from http import HTTPMethod
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from errors import Malformed
from gateway.client_address import ClientAddress
from gateway.error_answers import studio_problem
from studio.context import serving, span

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")

PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data: blob: http: https:; connect-src 'self' https:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""The studio's page runs only its own scripts; its pictures may come from a blob store."""

METHODS = frozenset(HTTPMethod)
MAX_PARAMETERS = 100
UNMATCHED = "(no route)"

DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
"""The policy of all other answers: a browser that displays such an answer runs no script of it."""
HSTS = "max-age=31536000; includeSubDomains"

Observe = Callable[[str, str, int, float], None]
"""Called for every answer with method, route, status and milliseconds."""

log = structlog.get_logger("studio.access")


def request_id_of(scope: Scope) -> str:
    """The caller's request id if it is well formed, else a new one."""
    request_id = Headers(scope=scope).get("x-request-id", "")
    return request_id if REQUEST_ID.fullmatch(request_id) else uuid4().hex


def complete_headers(
    headers: MutableHeaders, status: int, request_id: str, *, has_tls: bool
) -> None:
    """Adds the headers that the route has not set itself."""
    headers["X-Request-ID"] = request_id
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "no-referrer")
    headers.setdefault("X-Frame-Options", "DENY")
    if has_tls:
        headers.setdefault("Strict-Transport-Security", HSTS)
    content_type = headers.get("content-type", "")
    if "json" in content_type:
        headers.setdefault("Cache-Control", "no-store")
    if content_type.startswith("text/"):
        headers.setdefault("Cache-Control", "no-cache")  # a page needs modules of one version
    if "html" in content_type:
        headers.setdefault("Content-Security-Policy", PAGE_POLICY)
        headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    if status != 304:  # a 304 would replace the policy of the cached page
        headers.setdefault("Content-Security-Policy", DATA_POLICY)


def check_address(scope: Scope) -> None:
    """Checks the path and the query.

    Raises:
        Malformed: they contain a NUL, or more than `MAX_PARAMETERS` parameters.
    """
    query = scope.get("query_string", b"")
    if "\x00" in scope["path"] or b"%00" in query:
        raise Malformed("the address contains a NUL")
    if query.count(b"&") >= MAX_PARAMETERS:
        raise Malformed(f"the address has more than {MAX_PARAMETERS} parameters")


class Envelope:
    """Middleware for every HTTP request: its id, checks of the address, headers, observers."""

    def __init__(
        self,
        app: ASGIApp,
        client_address: ClientAddress,
        observers: Sequence[Observe] = (),
        *,
        has_tls: bool = False,
    ) -> None:
        self.app = app
        self._client_address = client_address
        self._observers = observers
        self._has_tls = has_tls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request with its id in scope and context."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = request_id_of(scope)
        # A copy, because a server may pass the same mapping to every request.
        scope["state"] = {
            **scope.get("state", {}),
            "request_id": request_id,
            "client_address": self._client_address.of(scope),
        }
        with serving(request_id):
            await self._serve(scope, receive, send, request_id)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        start_s = time.perf_counter()
        status = 0

        async def send_completed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.update(scope["state"].get("answer_headers", {}))
                complete_headers(headers, status, request_id, has_tls=self._has_tls)
            await send(message)

        try:
            with span(method_of(scope)) as server_span:
                await self._answer(scope, receive, send_completed)
                server_span.update_name(f"{method_of(scope)} {route_of(scope) or UNMATCHED}")
                server_span.set_attribute("http.response.status_code", status)
        finally:
            elapsed_ms = (time.perf_counter() - start_s) * 1000
            write_access_line(scope, status, elapsed_ms)
            for observe in self._observers:
                observe(method_of(scope), route_of(scope) or UNMATCHED, status, elapsed_ms)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            check_address(scope)
        except Malformed as error:
            await studio_problem(scope, error)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def route_of(scope: Scope) -> str | None:
    """The route's path as in OpenAPI; real paths contain ids, so their number is unbounded."""
    return getattr(scope.get("route"), "path_format", None)


def method_of(scope: Scope) -> str:
    """The method, or OTHER for an unknown one, since callers may invent any number of them."""
    return scope["method"] if scope["method"] in METHODS else "OTHER"


def write_access_line(scope: Scope, status: int, elapsed_ms: float) -> None:
    """Logs the template and neither path nor query, which may contain ids and signatures."""
    log.info(
        "request",
        method=scope["method"],
        route=route_of(scope),
        status=status,
        ms=round(elapsed_ms, 1),
        client=scope["state"]["client_address"],
    )
