"""How many requests one Gateway works on at once where each costs the models."""

from starlette.types import ASGIApp, Receive, Scope, Send

from errors import StudioError, Unavailable
from gateway.limits import route_class_of
from integrations.shares import Shares
from settings import Settings
from studio.files.picture_memory import PictureMemory

NETWORK_PART = 4
"""One network holds a quarter of the places, so that one alone turns nobody away."""
CV_ACCOUNT_PART = 8
"""Of the places where a request takes seconds, one account holds an eighth."""


class Saturated(Unavailable):
    """This replica has as many of these requests as it takes; another one may have room."""

    retry_after_s = 1


def saturated() -> StudioError:
    """503."""
    return Saturated("all places for such requests are taken")


class Concurrency:
    """The layer that answers 429 or 503 instead of letting pictures and callers pile up."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._shares = {
            "search": share_out(settings.concurrent_search, NETWORK_PART),
            "cv": share_out(settings.concurrent_cv, CV_ACCOUNT_PART),
        }
        self._pictures = PictureMemory()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises:
        OwnerBusy, Saturated: told by `LastHandler`, with Retry-After.
        """
        route_class = route_class_of(scope["method"], scope["path"]) if is_http(scope) else None
        if route_class is None:
            await self.app(scope, receive, send)
            return
        caller = scope.get("state", {}).get("caller")
        with self._pictures.request(caller):
            shares = self._shares.get(route_class)
            if shares is None or (route_class == "cv" and scope["method"] != "POST"):
                await self.app(scope, receive, send)  # rows at most: no model has work of it
                return
            async with shares.place(caller):
                await self.app(scope, receive, send)


def share_out(places: int, account_part: int) -> Shares:
    """The places of one class; nobody waits for one."""
    return Shares(
        places=places,
        per_owner=max(1, places // account_part),
        per_network=max(1, places // NETWORK_PART),
        full=saturated,
    )


def is_http(scope: Scope) -> bool:
    """Neither the lifespan nor a web socket."""
    return bool(scope["type"] == "http")
