"""How often one caller may ask: per account or address, by route class, kept in Valkey or Redis."""

import math
import time
from dataclasses import dataclass
from typing import Any

import structlog
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from errors import NotAuthenticated, RateLimited, Unavailable
from gateway.auth import AccessClaims, AccessTokens
from gateway.client_address import limit_key
from settings import Settings

WINDOW_S = 60
STORAGE_TIMEOUT_S = 0.5
STORAGE_PAUSE_S = 2.0
FREE_PATHS = ("/api/health", "/api/docs", "/api/openapi.json")

log = structlog.get_logger("studio.gateway")


class Throttled(RateLimited):
    """The caller's window is full; `retry_after_s` says when it has room again."""

    def __init__(self, detail: str, retry_after_s: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class Allowance:
    """What one caller may still do in one route class."""

    route_class: str
    allowed: bool
    quota: int
    remaining: int
    reset_s: int

    def headers(self) -> dict[str, str]:
        """The two fields of draft-ietf-httpapi-ratelimit-headers."""
        return {
            "RateLimit-Policy": f'"{self.route_class}";q={self.quota};w={WINDOW_S}',
            "RateLimit": f'"{self.route_class}";r={self.remaining};t={self.reset_s}',
        }


def route_class_of(method: str, path: str) -> str | None:
    """Which limit a route counts against; None where nothing is counted."""
    if not path.startswith("/api/") or path.startswith(FREE_PATHS):
        return None
    if path.startswith("/api/auth/") and (method == "POST" or "/oidc/" in path):
        return "auth"
    if path.startswith("/api/search/"):
        return "search"
    return "cv" if path.startswith("/api/cv/") else "default"


class RateLimits:
    """Sliding windows shared by all replicas; in memory while the storage is away."""

    def __init__(self, settings: Settings) -> None:
        self._items = {
            name: RateLimitItemPerMinute(getattr(settings, f"limit_{name}"), namespace=name)
            for name in ("auth", "search", "cv", "default")
        }
        # The strategies keep only a weak reference to their storage.
        url = settings.required("redis_url")
        self._pool = open_pool(url)
        pool: Any = self._pool
        self._shared_storage = RedisStorage(
            url,
            wrap_exceptions=True,
            implementation="redispy",
            key_prefix="studio:limit",
            connection_pool=pool,
        )
        self._shared = SlidingWindowCounterRateLimiter(self._shared_storage)
        self._memory_storage = MemoryStorage()
        self._memory = SlidingWindowCounterRateLimiter(self._memory_storage)
        self._away_until_s = 0.0

    async def take(self, route_class: str, who: str) -> Allowance:
        """Counts one request of one caller.

        Raises:
            Unavailable: the storage is away and the class must not go uncounted.
        """
        if time.monotonic() >= self._away_until_s:
            try:
                return await self._take(self._shared, route_class, who)
            except StorageError as error:
                self._away_until_s = time.monotonic() + STORAGE_PAUSE_S
                log.warning("rate limits fall back to memory", error=repr(error))
        if route_class == "auth":
            raise Unavailable("signing in is not possible right now")
        return await self._take(self._memory, route_class, who)

    async def _take(
        self, limiter: SlidingWindowCounterRateLimiter, route_class: str, who: str
    ) -> Allowance:
        item = self._items[route_class]
        allowed = await limiter.hit(item, who)
        window = await limiter.get_window_stats(item, who)
        reset_s = max(1, math.ceil(window.reset_time - time.time()))
        remaining = max(0, int(window.remaining)) if allowed else 0
        return Allowance(route_class, allowed, item.amount, remaining, reset_s)

    async def aclose(self) -> None:
        """Closes the connections to the storage."""
        await self._pool.aclose()


def open_pool(redis_url: str) -> ConnectionPool:
    """Connections to the shared counters; every call fails fast, because a request waits."""
    return ConnectionPool.from_url(
        redis_url,
        socket_timeout=STORAGE_TIMEOUT_S,
        socket_connect_timeout=STORAGE_TIMEOUT_S,
        retry=Retry(NoBackoff(), 1),
    )


class RateLimit:
    """The layer that reads the access token once, counts, and refuses what is too much."""

    def __init__(self, app: ASGIApp, limits: RateLimits, tokens: AccessTokens) -> None:
        self.app = app
        self._limits = limits
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Leaves `identity` in the scope's state for `gateway.deps`, and headers for `Envelope`."""
        if scope["type"] != "http" or not scope["path"].startswith("/api/"):
            await self.app(scope, receive, send)
            return
        identity = scope["state"]["identity"] = self._identify(scope)
        route_class = route_class_of(scope["method"], scope["path"])
        if route_class is None:
            await self.app(scope, receive, send)
            return
        who = caller_key(route_class, identity, scope["state"]["client_address"])
        allowance = await self._limits.take(route_class, who)
        scope["state"]["answer_headers"] = allowance.headers()
        if not allowance.allowed:
            detail = f"at most {allowance.quota} requests a minute are served here"
            raise Throttled(detail, allowance.reset_s)
        await self.app(scope, receive, send)

    def _identify(self, scope: Scope) -> AccessClaims | NotAuthenticated | None:
        scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            return self._tokens.read(token.strip())
        except NotAuthenticated as error:
            return error


def caller_key(route_class: str, identity: object, client_address: str) -> str:
    """An account has its own window, but never one for guessing passwords."""
    if isinstance(identity, AccessClaims) and route_class != "auth":
        return f"user:{identity.user_id}"
    return f"ip:{limit_key(client_address)}"
