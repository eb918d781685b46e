"""The layer that limits request bodies in bytes, time and structure, regardless of their headers.

A JSON or form body is received and checked as a whole before its request occupies a place or
reaches a route. Only uploads, whose routes have limits of their own, are streamed.
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
from gateway.json_limit import SMALL_MAX_VALUES, DocumentLimits, check_document
from studio.accounts.client_network import limit_key

KIBIBYTE = 1024
MEGABYTE = 1_000_000
JSON_BYTES = 1 * MEGABYTE
SILENCE_LIMIT_S = 30.0
WHOLE_LIMIT_S = 60.0
"""A small body must arrive within this time; a large one must only keep arriving."""
MAX_LENGTH_DIGITS = 15
UNFINISHED_BYTES_EACH = 8 * MEGABYTE
UNFINISHED_BYTES = 64 * MEGABYTE
"""Limits on the bodies that have not fully arrived: of one network, and of all in this Gateway."""
LITTLE_BYTES = 1 * MEGABYTE
LITTLE_RESERVE_BYTES = 16 * MEGABYTE
"""The part of `UNFINISHED_BYTES` for networks whose bodies have at most `LITTLE_BYTES`."""


DOCUMENT = DocumentLimits()
SMALL_DOCUMENT = DocumentLimits(max_values=SMALL_MAX_VALUES)


@dataclass(frozen=True)
class BodyRule:
    """The limits of one part of the API; `max_bytes` is None where the route counts the bytes."""

    max_bytes: int | None = JSON_BYTES
    is_streamed: bool = False
    document: DocumentLimits = DOCUMENT


RULES: tuple[tuple[str, BodyRule], ...] = (
    ("/api/search/", BodyRule(64 * KIBIBYTE, document=SMALL_DOCUMENT)),
    ("/api/auth/", BodyRule(16 * KIBIBYTE, document=SMALL_DOCUMENT)),
    ("/blobs/", BodyRule(None, is_streamed=True)),  # the signature carries each blob's limit
    ("/api/catalog/import", BodyRule(200 * MEGABYTE, is_streamed=True)),
)
OTHER = BodyRule()
BODY_HEADERS = frozenset({b"content-length", b"content-type", b"transfer-encoding"})


def rule_of(path: str) -> BodyRule:
    """The rule for bodies sent to this path."""
    return next((rule for start, rule in RULES if path.startswith(start)), OTHER)


def declared_bytes(scope: Scope) -> int | None:
    """The value of Content-Length; None without this header.

    Raises:
        Malformed: the value is not a number.
    """
    text = Headers(scope=scope).get("content-length")
    return None if text is None else read_length(text)


def read_length(text: str) -> int:
    """Parses a Content-Length.

    Raises:
        Malformed: it is not a number.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_LENGTH_DIGITS):
        raise Malformed("Content-Length is not a number")
    return int(text)


def check_declared(text: str, max_bytes: int) -> None:
    """Checks a Content-Length against the limit.

    Raises:
        Malformed: it is not a number.
        TooLarge: it is above the limit.
    """
    if read_length(text) > max_bytes:
        raise TooLarge(f"the body may have at most {max_bytes} bytes")


class BodyLimit:
    """Answers 413 as soon as a body exceeds its limit, and 408 when it arrives too slowly."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._unfinished = Unfinished()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Counts the bytes that arrive; a declared size only allows an earlier refusal."""
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
        """Receives a whole body. Most arrive as one message; only the others are accounted for."""
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
    """Receives the next part of a body.

    Raises:
        ClientDisconnect: the client has closed the connection.
    """
    message = await body.receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message


class Unfinished:
    """Bytes of bodies that are still arriving, by network, since anyone may open many accounts."""

    def __init__(self) -> None:
        self.by_network: Counter[str] = Counter()
        self.total = 0

    def of(self, network: str) -> "UnfinishedShare":
        """The share of one body, for the time that it is arriving."""
        return UnfinishedShare(self, network)

    def has_room(self, network: str) -> bool:
        """Whether this network, and all networks together, are within their limits."""
        own = self.by_network[network]
        reserve = 0 if own <= LITTLE_BYTES else LITTLE_RESERVE_BYTES
        return own <= UNFINISHED_BYTES_EACH and self.total <= UNFINISHED_BYTES - reserve


class UnfinishedShare:
    """The bytes of one arriving body; released at the end of the block."""

    def __init__(self, unfinished: Unfinished, network: str) -> None:
        self._unfinished = unfinished
        self._network = network
        self._bytes = 0

    def __enter__(self) -> "UnfinishedShare":
        return self

    def add(self, count: int) -> None:
        """Counts more bytes.

        Raises:
            Unavailable: this network, or all networks together, exceed their limit.
        """
        self._bytes += count
        self._unfinished.total += count
        self._unfinished.by_network[self._network] += count
        if not self._unfinished.has_room(self._network):
            raise Unavailable("too many bodies are arriving at once; send fewer in parallel")

    def __exit__(self, *_: object) -> None:
        self._unfinished.total -= self._bytes
        self._unfinished.by_network[self._network] -= self._bytes
        if not self._unfinished.by_network[self._network]:
            del self._unfinished.by_network[self._network]


class Replay:
    """Passes a received body to the app, then the messages of the server."""

    def __init__(self, data: bytes, receive: Receive) -> None:
        self._data: bytes | None = data
        self._receive = receive

    async def receive(self) -> Message:
        """Returns the body once, then waits for the disconnect of the client."""
        if self._data is None:
            return await self._receive()
        data, self._data = self._data, None
        return {"type": "http.request", "body": data, "more_body": False}


class Arriving:
    """Receives one body and enforces its limits of size and time."""

    def __init__(self, receive: Receive, max_bytes: int | None) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._arrived = 0
        self._is_whole = False
        is_small = max_bytes is not None and max_bytes <= JSON_BYTES
        self._until_s = time.monotonic() + WHOLE_LIMIT_S if is_small else math.inf

    async def receive(self) -> Message:
        """Returns the next part.

        Raises:
            HTTPException: 413 or 408; FastAPI would turn any other error into "can't parse the
                body".
        """
        if self._is_whole:  # the app waits for the disconnect of the client
            return await self._receive()
        try:
            async with asyncio.timeout(min(SILENCE_LIMIT_S, self._until_s - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            detail = "the body did not arrive in time"
            raise HTTPException(408, detail, headers={"Connection": "close"}) from None
        self._is_whole = not message.get("more_body", False)
        self._arrived += len(message.get("body", b""))
        if self._max_bytes is not None and self._arrived > self._max_bytes:
            raise HTTPException(413, f"the body may have at most {self._max_bytes} bytes")
        return message
