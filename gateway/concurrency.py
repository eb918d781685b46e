"""The layer that limits how many requests to the models one Gateway works on at once."""

from starlette.types import ASGIApp, Receive, Scope, Send

from errors import StudioError, Unavailable
from gateway.limits import route_class_of
from integrations.fair_semaphore import FairSemaphore
from settings import Settings
from studio.files.picture_memory import PictureMemory

NETWORK_PART = 4
"""One network gets a quarter of the places, so that it can't shut out the others."""
SEARCH_ACCOUNT_PART = 4
"""One account gets a quarter of the places for searches, as much as one network."""
CV_ACCOUNT_PART = 8
"""One account gets an eighth of the places for requests that take seconds."""


class Saturated(Unavailable):
    """All places of this replica are taken; another replica may have one."""

    retry_after_s = 1


def saturated() -> StudioError:
    """The error for a request that finds no free place."""
    return Saturated("all places for such requests are taken")


class Concurrency:
    """Answers 429 or 503 where a request finds no free place; none of them waits."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._shares = {
            "search": share_out(settings.concurrent_search, SEARCH_ACCOUNT_PART),
            "cv": share_out(settings.concurrent_cv, CV_ACCOUNT_PART),
        }
        self._pictures = PictureMemory()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Gives the request a place while it is served.

        Raises:
            OwnerBusy, Saturated: there is none; `LastHandler` answers with Retry-After.
        """
        route_class = route_class_of(scope["method"], scope["path"]) if is_http(scope) else None
        if route_class is None:
            await self.app(scope, receive, send)
            return
        caller = scope.get("state", {}).get("caller")
        with self._pictures.request(caller):
            shares = self._shares.get(route_class)
            if shares is None or (route_class == "cv" and scope["method"] != "POST"):
                await self.app(scope, receive, send)  # reads rows only, without a model
                return
            async with shares.place(caller):
                await self.app(scope, receive, send)


def share_out(places: int, account_part: int) -> FairSemaphore:
    """The places of one route class, without a queue."""
    return FairSemaphore(
        places=places,
        per_owner=max(1, places // account_part),
        per_network=max(1, places // NETWORK_PART),
        full=saturated,
    )


def is_http(scope: Scope) -> bool:
    """Whether the scope is an HTTP request, not the lifespan or a web socket."""
    return bool(scope["type"] == "http")
