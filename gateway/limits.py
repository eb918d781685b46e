"""Rate limits: per account or address and route class, counted in Valkey or Redis."""

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from starlette.types import ASGIApp, Receive, Scope, Send

from errors import NotAuthenticated, RateLimited, StudioError, Unavailable
from gateway.auth import AccessClaims, Credentials, Identity, bearer_token
from integrations.fair_semaphore import Caller
from integrations.windows import QuotaUse, WindowState
from studio.accounts.client_network import limit_key
from studio.accounts.keys import KeyAccount
from studio.batching import MicroBatcher
from studio.context import acting_for
from studio.ports import Studio

WINDOW_S = 60
CACHE_PAUSE_S = 2.0
ROUTE_CLASSES = ("auth", "search", "cv", "default")
AUTH_PATHS = ("/api/auth/oidc/login", "/api/auth/oidc/callback", "/api/auth/me/export")
"""GETs that count like sign-ins, because each costs much more than a look-up."""
FREE_PATHS = ("/api/health", "/api/docs", "/api/openapi.json")

log = structlog.get_logger("studio.gateway")


@dataclass(frozen=True)
class Allowance:
    """The state of one caller's window in one route class."""

    route_class: str
    is_allowed: bool
    quota: int
    remaining: int
    reset_s: int

    def headers(self) -> dict[str, str]:
        """The two headers of draft-ietf-httpapi-ratelimit-headers."""
        return {
            "RateLimit-Policy": f'"{self.route_class}";q={self.quota};w={WINDOW_S}',
            "RateLimit": f'"{self.route_class}";r={self.remaining};t={self.reset_s}',
        }


def route_class_of(method: str, path: str) -> str | None:
    """The limit that a request counts against; None where it is not counted."""
    if method == "PUT" and path.startswith("/blobs/"):
        return "default"  # counted by address: a signed URL identifies no account
    if not path.startswith("/api/") or path.startswith(FREE_PATHS):
        return None
    if path.startswith("/api/auth/") and (method in ("POST", "DELETE") or path in AUTH_PATHS):
        return "auth"
    if path.startswith("/api/search/"):
        return "search"
    return "cv" if path.startswith("/api/cv/") else "default"


class RateLimits:
    """Sliding windows, shared by all replicas; in memory while the cache can't be reached."""

    def __init__(self, studio: Studio) -> None:
        self._quotas: dict[str, int] = {
            name: getattr(studio.settings, f"limit_{name}") for name in ROUTE_CLASSES
        }
        self._cache = studio.cache
        self._shared: MicroBatcher[QuotaUse, WindowState] = MicroBatcher(
            self._count, max_batch=64, max_waiting=10_000
        )
        # The strategy keeps only a weak reference to its storage.
        self._storage = MemoryStorage()
        self._memory = SlidingWindowCounterRateLimiter(self._storage)
        self._away_until_s = 0.0

    async def take(self, route_class: str, who: str) -> Allowance:
        """Counts one request of one caller.

        Raises:
            Unavailable: the cache can't be reached, and the class must be counted.
        """
        with suppress(Unavailable):
            use = QuotaUse(f"{route_class}:{who}", self._quotas[route_class])
            return self._allowance(route_class, await self._shared.submit(use))
        if route_class == "auth":
            raise Unavailable("signing in is not possible right now")
        return self._allowance(route_class, await self._count_in_memory(route_class, who))

    async def _count(self, uses: list[QuotaUse]) -> Sequence[WindowState | StudioError]:
        """Counts many requests in one round trip; if it fails, all get its error."""
        if time.monotonic() < self._away_until_s:
            return [Unavailable("the cache could not be reached a moment ago") for _ in uses]
        try:
            return await self._cache.count_in_windows(uses, window_ms=WINDOW_S * 1000)
        except Unavailable as error:
            self._away_until_s = time.monotonic() + CACHE_PAUSE_S
            log.warning("rate limits fall back to memory", error=repr(error))
            return [error for _ in uses]

    async def _count_in_memory(self, route_class: str, who: str) -> WindowState:
        item = RateLimitItemPerMinute(self._quotas[route_class], namespace=route_class)
        is_counted = await self._memory.hit(item, who)
        window = await self._memory.get_window_stats(item, who)
        retry_after_ms = math.ceil((window.reset_time - time.time()) * 1000)
        return WindowState(
            is_counted, max(0, int(window.remaining)) if is_counted else 0, retry_after_ms
        )

    def _allowance(self, route_class: str, window: WindowState) -> Allowance:
        reset_s = max(1, math.ceil(window.retry_after_ms / 1000))
        quota = self._quotas[route_class]
        return Allowance(route_class, window.is_counted, quota, window.remaining, reset_s)


async def count_request(limits: RateLimits, scope: Scope, route_class: str) -> None:
    """Counts a request; a route calls it for a class that can't be read from its path.

    Raises:
        RateLimited: the caller's window is full.
    """
    who = caller_key(route_class, scope["state"]["identity"], scope["state"]["client_address"])
    allowance = await limits.take(route_class, who)
    scope["state"]["answer_headers"] = allowance.headers()
    if not allowance.is_allowed:
        detail = f"at most {allowance.quota} requests a minute are allowed here"
        raise RateLimited(detail, allowance.reset_s)


class RateLimit:
    """The layer that reads the bearer token, counts the request and refuses excess requests."""

    def __init__(self, app: ASGIApp, limits: RateLimits, credentials: Credentials) -> None:
        self.app = app
        self._limits = limits
        self._credentials = credentials

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stores `identity` and `caller` in the scope's state, and headers for `Envelope`."""
        if scope["type"] != "http" or not scope["path"].startswith(("/api/", "/blobs/")):
            await self.app(scope, receive, send)
            return
        identity = scope["state"]["identity"] = await self._identify(scope)
        route_class = route_class_of(scope["method"], scope["path"])
        if route_class is not None:
            await count_request(self._limits, scope, route_class)
        address = scope["state"]["client_address"]
        caller = Caller(caller_key(route_class or "default", identity, address), limit_key(address))
        scope["state"]["caller"] = caller
        with acting_for(caller):
            await self.app(scope, receive, send)

    async def _identify(self, scope: Scope) -> Identity | NotAuthenticated | None:
        token = bearer_token(scope)
        if token is None:
            return None
        try:
            return await self._credentials.identify(token)
        except NotAuthenticated as error:
            return error


def caller_key(route_class: str, identity: object, client_address: str) -> str:
    """The name of the caller's window.

    Requests are counted by account, whichever of its sessions and keys they use. Requests
    without a token and those of the class `auth`, where passwords can be guessed, are counted by
    address.
    """
    if route_class != "auth":
        if isinstance(identity, AccessClaims):
            return f"user:{identity.user_id}"
        if isinstance(identity, KeyAccount):
            return f"user:{identity.id}"
    return f"ip:{limit_key(client_address)}"
