"""Keeps request bodies small and prompt while they stream in, whatever their headers promise."""

import asyncio
import math
import time

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from errors import Malformed, TooLarge

MEGABYTE = 1_000_000
JSON_BYTES = 1 * MEGABYTE
SILENCE_LIMIT_S = 30.0
WHOLE_LIMIT_S = 60.0
"""A small body is here by then; a large one only has to keep coming."""
OWN_LIMITS: tuple[tuple[str, int | None], ...] = (
    ("/blobs/", None),  # the signature carries the limit of each blob
    ("/api/catalog/import", 200 * MEGABYTE),
)


def max_bytes_of(path: str) -> int | None:
    """The most bytes a body to this path may have; None where the route counts itself."""
    return next((limit for start, limit in OWN_LIMITS if path.startswith(start)), JSON_BYTES)


def declared_bytes(scope: Scope) -> int | None:
    """What Content-Length says, None without one.

    Raises:
        Malformed: it says no number.
    """
    text = Headers(scope=scope).get("content-length")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise Malformed("Content-Length is not a number")
    return int(text)


class BodyLimit:
    """Answers 413 as soon as a body is known to be too large, and 408 when it comes too slowly."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Counts what arrives; the declared size only allows to refuse earlier."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        max_bytes = max_bytes_of(scope["path"])
        if max_bytes is not None and (declared_bytes(scope) or 0) > max_bytes:
            raise TooLarge(f"a body of at most {max_bytes} bytes is taken here")
        body = Arriving(receive, max_bytes)
        await self.app(scope, body.receive, send)


class Arriving:
    """One request's body; nobody may hold a place by sending it a byte at a time, or none."""

    def __init__(self, receive: Receive, max_bytes: int | None) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._arrived = 0
        self._is_whole = False
        is_small = max_bytes is not None and max_bytes <= JSON_BYTES
        self._until_s = time.monotonic() + WHOLE_LIMIT_S if is_small else math.inf

    async def receive(self) -> Message:
        """The next part.

        Raises:
            HTTPException: 413 or 408; FastAPI turns any other error into "can't parse the body".
        """
        if self._is_whole:  # what is waited for now is the caller's hanging up
            return await self._receive()
        try:
            async with asyncio.timeout(min(SILENCE_LIMIT_S, self._until_s - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            told = "the body did not arrive in time"
            raise HTTPException(408, told, headers={"Connection": "close"}) from None
        self._is_whole = not message.get("more_body", False)
        self._arrived += len(message.get("body", b""))
        if self._max_bytes is not None and self._arrived > self._max_bytes:
            raise HTTPException(413, f"a body of at most {self._max_bytes} bytes is taken here")
        return message
