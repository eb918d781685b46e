"""What every answer carries around it: request id, security headers, one line of access log."""

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
"""The studio page runs its own scripts only; pictures and uploads may live in a blob store."""

METHODS = frozenset(HTTPMethod)
MAX_PARAMETERS = 100
UNMATCHED = "(no route)"

DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
"""What is no page runs nothing, should a browser ever take it for one."""
HSTS = "max-age=31536000; includeSubDomains"

Observe = Callable[[str, str, int, float], None]
"""Told of every answer: method, route, status, milliseconds."""

log = structlog.get_logger("studio.access")


def request_id_of(scope: Scope) -> str:
    """The caller's id where it is well formed, else a new one."""
    given = Headers(scope=scope).get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else uuid4().hex


def complete_headers(
    headers: MutableHeaders, status: int, request_id: str, *, has_tls: bool
) -> None:
    """Adds what is missing; a route that said otherwise is left alone."""
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
        headers.setdefault("Cache-Control", "no-cache")  # the page's modules belong together
    if "html" in content_type:
        headers.setdefault("Content-Security-Policy", PAGE_POLICY)
        headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    if status != 304:  # whose headers replace those that the browser has kept of the page
        headers.setdefault("Content-Security-Policy", DATA_POLICY)


def check_address(scope: Scope) -> None:
    """Raises:
    Malformed: path or query hold a NUL, which no name of ours has, or very many parameters.
    """
    query = scope.get("query_string", b"")
    if "\x00" in scope["path"] or b"%00" in query:
        raise Malformed("the address holds a NUL")
    if query.count(b"&") >= MAX_PARAMETERS:
        raise Malformed(f"the address holds more than {MAX_PARAMETERS} parameters")


class Envelope:
    """The outermost layer around every HTTP request."""

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
        """Serves one request under its id."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = request_id_of(scope)
        # A copy: a server may hand the same mapping to every request.
        scope["state"] = {
            **scope.get("state", {}),
            "request_id": request_id,
            "client_address": self._client_address.of(scope),
        }
        with serving(request_id):
            await self._serve(scope, receive, send, request_id)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        started_s = time.perf_counter()
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
            with span(method_of(scope)) as told:
                await self._answer(scope, receive, send_completed)
                told.update_name(f"{method_of(scope)} {route_of(scope) or UNMATCHED}")
                told.set_attribute("http.response.status_code", status)
        finally:
            elapsed_ms = (time.perf_counter() - started_s) * 1000
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
    """The template: a path may hold ids, and anyone can make up any number of them."""
    return getattr(scope.get("route"), "path", None)


def method_of(scope: Scope) -> str:
    """One of the known ones, for the same reason."""
    return scope["method"] if scope["method"] in METHODS else "OTHER"


def write_access_line(scope: Scope, status: int, elapsed_ms: float) -> None:
    """Template instead of path and no query: both may hold ids and signatures."""
    log.info(
        "request",
        method=scope["method"],
        route=route_of(scope),
        status=status,
        ms=round(elapsed_ms, 1),
        client=scope["state"]["client_address"],
    )
