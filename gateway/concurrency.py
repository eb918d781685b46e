"""How many requests one Gateway works on at once where each costs the models."""

from collections import Counter

from starlette.types import ASGIApp, Receive, Scope, Send

from errors import Unavailable
from gateway.limits import caller_key, route_class_of
from settings import Settings
from studio.picture_memory import PictureMemory


class Saturated(Unavailable):
    """This replica has as many of these requests as it takes; another one may have room."""

    retry_after_s = 1


class Concurrency:
    """The layer that answers 503 instead of letting pictures and callers pile up."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._most = {"search": settings.concurrent_search, "cv": settings.concurrent_cv}
        self._running: Counter[str] = Counter()
        self._pictures = PictureMemory()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises:
        Saturated: told by `LastHandler`, with Retry-After.
        """
        route_class = route_class_of(scope["method"], scope["path"]) if is_http(scope) else None
        if route_class is None:
            await self.app(scope, receive, send)
            return
        state = scope.get("state", {})
        owner = caller_key(route_class, state.get("identity"), state.get("client_address", ""))
        with self._pictures.request(owner):
            await self._in_place(route_class, scope, receive, send)

    async def _in_place(self, route_class: str, scope: Scope, receive: Receive, send: Send) -> None:
        if route_class not in self._most:
            await self.app(scope, receive, send)
            return
        if self._running[route_class] >= self._most[route_class]:
            raise Saturated(f"all {self._most[route_class]} places for such requests are taken")
        self._running[route_class] += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._running[route_class] -= 1


def is_http(scope: Scope) -> bool:
    """Neither the lifespan nor a web socket."""
    return bool(scope["type"] == "http")
