"""Keeps request bodies small while they stream in, whatever their headers promise."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from errors import Malformed, TooLarge

MEGABYTE = 1_000_000
JSON_BYTES = 1 * MEGABYTE
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
    """Answers 413 as soon as a body is known to be too large."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Counts what arrives; the declared size only allows to refuse earlier."""
        max_bytes = max_bytes_of(scope["path"]) if scope["type"] == "http" else None
        if max_bytes is None:
            await self.app(scope, receive, send)
            return
        if (declared_bytes(scope) or 0) > max_bytes:
            raise TooLarge(f"a body of at most {max_bytes} bytes is taken here")
        arrived = 0

        async def receive_counted() -> Message:
            nonlocal arrived
            message = await receive()
            arrived += len(message.get("body", b""))
            if arrived > max_bytes:
                # FastAPI turns anything but its own exception into "can't parse the body".
                raise HTTPException(413, f"a body of at most {max_bytes} bytes is taken here")
            return message

        await self.app(scope, receive_counted, send)
