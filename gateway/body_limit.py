"""Bodies are bounded in bytes, time and shape, whatever their headers promise, before any work.

A body of JSON or of a form is here as a whole, and judged, before its request takes a place or
reaches a route. Only uploads, which have limits of their own, stream through.
"""

import asyncio
import math
import time
from collections import Counter
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from errors import Malformed, TooLarge, Unavailable
from gateway.client_address import limit_key
from gateway.json_limit import SMALL_MAX_VALUES, DocumentLimits, check_document

KILOBYTE = 1024
MEGABYTE = 1_000_000
JSON_BYTES = 1 * MEGABYTE
SILENCE_LIMIT_S = 30.0
WHOLE_LIMIT_S = 60.0
"""A small body is here by then; a large one only has to keep coming."""
MAX_LENGTH_DIGITS = 15
UNFINISHED_BYTES_EACH = 8 * MEGABYTE
UNFINISHED_BYTES = 64 * MEGABYTE
"""Of bodies that are not here as a whole: one network's, and everybody's in this Gateway."""
LITTLE_BYTES = 1 * MEGABYTE
LITTLE_RESERVE_BYTES = 16 * MEGABYTE
"""A part of all that only networks who hold little may use."""


DOCUMENT = DocumentLimits()
SMALL_DOCUMENT = DocumentLimits(max_values=SMALL_MAX_VALUES)


@dataclass(frozen=True)
class BodyRule:
    """What one part of the API takes; `max_bytes` is None where the route counts itself."""

    max_bytes: int | None = JSON_BYTES
    is_streamed: bool = False
    document: DocumentLimits = DOCUMENT


RULES: tuple[tuple[str, BodyRule], ...] = (
    ("/api/search/", BodyRule(64 * KILOBYTE, document=SMALL_DOCUMENT)),
    ("/api/auth/", BodyRule(16 * KILOBYTE, document=SMALL_DOCUMENT)),
    ("/blobs/", BodyRule(None, is_streamed=True)),  # the signature carries each blob's limit
    ("/api/catalog/import", BodyRule(200 * MEGABYTE, is_streamed=True)),
)
OTHER = BodyRule()
BODY_HEADERS = frozenset({b"content-length", b"content-type", b"transfer-encoding"})


def rule_of(path: str) -> BodyRule:
    """What a body to this path may be."""
    return next((rule for start, rule in RULES if path.startswith(start)), OTHER)


def max_bytes_of(path: str) -> int | None:
    """The most bytes a body to this path may have; None where the route counts itself."""
    return rule_of(path).max_bytes


def declared_bytes(scope: Scope) -> int | None:
    """What Content-Length says, None without one.

    Raises:
        Malformed: it says no number.
    """
    text = Headers(scope=scope).get("content-length")
    return None if text is None else read_length(text)


def read_length(text: str) -> int:
    """Raises:
    Malformed: it is no number.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_LENGTH_DIGITS):
        raise Malformed("Content-Length is not a number")
    return int(text)


def check_declared(text: str, max_bytes: int) -> None:
    """Raises:
    Malformed, TooLarge: it is no number, or more than is taken.
    """
    if read_length(text) > max_bytes:
        raise TooLarge(f"a body of at most {max_bytes} bytes is taken here")


class BodyLimit:
    """Answers 413 as soon as a body is known to be too large, and 408 when it comes too slowly."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._unfinished = Unfinished()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Counts what arrives; the declared size only allows to refuse earlier."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        rule = rule_of(scope["path"])
        headers = {name: value for name, value in scope["headers"] if name in BODY_HEADERS}
        if rule.max_bytes is not None and b"content-length" in headers:
            check_declared(headers[b"content-length"].decode("latin-1"), rule.max_bytes)
        body = Arriving(receive, rule.max_bytes)
        if rule.is_streamed or not headers:
            await self.app(scope, body.receive, send)
            return
        data = await self._read_whole(body, scope["state"]["client_address"])
        if data and b"json" in headers.get(b"content-type", b"").lower():
            check_document(data, rule.document)
        await self.app(scope, Replay(data, receive).receive, send)

    async def _read_whole(self, body: "Arriving", client_address: str) -> bytes:
        """Most bodies come as one message; only of the others account is kept."""
        message = await next_part(body)
        if not message.get("more_body", False):
            return bytes(message.get("body", b""))
        with self._unfinished.of(limit_key(client_address)) as share:
            parts = bytearray()
            while True:
                part = message.get("body", b"")
                parts += part
                share.add(len(part))
                if not message.get("more_body", False):
                    return bytes(parts)
                message = await next_part(body)


async def next_part(body: "Arriving") -> Message:
    """Raises:
    ClientDisconnect: nobody is left to answer.
    """
    message = await body.receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message


class Unfinished:
    """Bytes of bodies that are still arriving, by network: accounts cost nothing."""

    def __init__(self) -> None:
        self.by_network: Counter[str] = Counter()
        self.total = 0

    def of(self, network: str) -> "UnfinishedShare":
        """One body's part of them, for as long as it is arriving."""
        return UnfinishedShare(self, network)

    def has_room(self, network: str) -> bool:
        """Whether what the network holds is within its bound, and all within theirs."""
        own = self.by_network[network]
        reserve = 0 if own <= LITTLE_BYTES else LITTLE_RESERVE_BYTES
        return own <= UNFINISHED_BYTES_EACH and self.total <= UNFINISHED_BYTES - reserve


class UnfinishedShare:
    """What one body holds; given back at the end of the block."""

    def __init__(self, unfinished: Unfinished, network: str) -> None:
        self._unfinished = unfinished
        self._network = network
        self._bytes = 0

    def __enter__(self) -> "UnfinishedShare":
        return self

    def add(self, count: int) -> None:
        """Raises:
        Unavailable: this network, or all of them, hold too much already.
        """
        self._bytes += count
        self._unfinished.total += count
        self._unfinished.by_network[self._network] += count
        if not self._unfinished.has_room(self._network):
            raise Unavailable("too many bodies are arriving at once; send fewer side by side")

    def __exit__(self, *_: object) -> None:
        self._unfinished.total -= self._bytes
        self._unfinished.by_network[self._network] -= self._bytes
        if not self._unfinished.by_network[self._network]:
            del self._unfinished.by_network[self._network]


class Replay:
    """Hands on a body that is here as a whole; after it, what the server says."""

    def __init__(self, data: bytes, receive: Receive) -> None:
        self._data: bytes | None = data
        self._receive = receive

    async def receive(self) -> Message:
        """The body once, then the caller's hanging up."""
        if self._data is None:
            return await self._receive()
        data, self._data = self._data, None
        return {"type": "http.request", "body": data, "more_body": False}


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
