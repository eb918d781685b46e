"""The answer to a request that can't be parsed: a problem document on a connection that closes."""

import asyncio
from collections.abc import Collection

from starlette.types import ASGIApp, Receive, Scope, Send

from errors import Malformed
from gateway.client_address import ClientAddress
from gateway.cors import Cors
from gateway.envelope import Envelope
from gateway.error_table import TABLE
from gateway.problem import ProblemType, problem

LINGER_S = 1.0
"""Closing while bytes of the client are unread would destroy the answer in transit (TCP reset)."""

MALFORMED = TABLE[Malformed]
TOO_LARGE = ProblemType(431, "head-too-large", "The head of the request is too large")
TOO_MANY = ProblemType(429, "pipeline-full", "Too many requests on one connection")
DETAILS = {
    400: "this is not well-formed HTTP/1.1",
    429: "wait for answers before you send more requests on this connection",
    431: "request line, headers and trailers may have 64 KB and 100 fields",
}


def refusing(reason: ProblemType, origins: Collection[str] = ()) -> ASGIApp:
    """An ASGI application that refuses; its answer has the same headers as the Gateway's.

    `origins`: those whose pages may read it.
    """

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        headers = {"Connection": "close"} | ({"Retry-After": "1"} if reason.status == 429 else {})
        answer = problem(
            scope, reason.status, slug=reason.slug, title=reason.title,
            detail=DETAILS[reason.status], headers=headers,
        )  # fmt: skip
        await answer(scope, receive, send)

    return Envelope(Cors(refuse, origins) if origins else refuse, ClientAddress([]))


class LingeringTransport:
    """The transport of a uvicorn request cycle; it closes `LINGER_S` after the call of `close`."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self.write = transport.write
        self.is_closing = transport.is_closing

    def close(self) -> None:
        """Ends writing; bytes that the client still sends are read and discarded."""
        if self._transport.is_closing():
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._loop.call_later(LINGER_S, self._transport.close)
