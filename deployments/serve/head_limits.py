"""Limits of time and size for the heads of HTTP/1.1 messages, which uvicorn does not set.

uvicorn closes connections that are idle between requests. But it never closes a connection that
sends its head a byte at a time or does not read its answer, and httptools collects headers of any
size.
"""

import asyncio
import socket
from collections.abc import Collection
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from deployments.serve.refusal import (
    MALFORMED,
    TOO_LARGE,
    TOO_MANY,
    LingeringTransport,
    refusing,
)
from gateway.problem import ProblemType

HEAD_LIMIT_S = 20.0
UNREAD_LIMIT_S = 60.0
MAX_HEAD_BYTES = 65_536
MAX_HEADERS = 100
MAX_PIPELINED = 100
SLICE_BYTES = 8192
"""The parser gets at most this many bytes at once, so that it stops soon after a limit."""


class HeadRefused(Exception):
    """Raised in a callback of the parser to stop it."""


class HeadLimitProtocol(HttpToolsProtocol):
    """uvicorn's httptools protocol with limits of time and size for everything but bodies.

    `_unproductive` counts the bytes since the last complete head or piece of a body: those of a
    head, of a chunk's extension, of trailers, or of empty lines.
    """

    origins: Collection[str] = ()
    """The origins whose pages may read a refusal."""
    _head_timer: asyncio.TimerHandle | None = None
    _unproductive = 0
    _trailers = 0
    _in_body = False
    _has_ended = False
    _reason = MALFORMED

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the timer for the head; the kernel closes connections whose peer reads nothing."""
        super().connection_made(transport)
        peer = transport.get_extra_info("socket")
        if peer is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
            limit_ms = int(UNREAD_LIMIT_S * 1000)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limit_ms)
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        """Parses a slice at a time; discards everything that follows a refusal."""
        for start in range(0, len(data), SLICE_BYTES):
            if self._has_ended or self.transport.is_closing():
                return
            part = data[start : start + SLICE_BYTES]
            self._unproductive += len(part)
            super().data_received(part)
            if self._unproductive > MAX_HEAD_BYTES and not self._has_ended:
                self._reason = TOO_LARGE
                self._refuse()
        has_answered = self.cycle is not None and self.cycle.response_complete
        if has_answered and not self.pipeline and self._head_timer is None:
            self._start_timer()  # stray bytes have stopped uvicorn's timer for idle connections

    def on_message_begin(self) -> None:
        """Starts the timer at the first byte of a head."""
        super().on_message_begin()
        self._trailers = 0
        if self._head_timer is None:
            self._start_timer()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collects a header; counts a trailer and ignores it otherwise.

        Raises:
            HeadRefused: there are too many.
        """
        self._trailers += self._in_body
        if max(len(self.headers), self._trailers) >= MAX_HEADERS:
            self._stop(TOO_LARGE)
        if not self._in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Checks the complete head; `gateway.body_limit` bounds the body.

        Raises:
            HeadRefused: the head is too large, or too many requests wait on this connection.
        """
        if self._unproductive > MAX_HEAD_BYTES and self._head_bytes() > MAX_HEAD_BYTES:
            self._stop(TOO_LARGE)
        if len(self.pipeline) >= MAX_PIPELINED:
            self._stop(TOO_MANY)
        self._stop_timer()
        self._in_body = True
        self._unproductive = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Passes a piece of the body on; it ends the count of unproductive bytes."""
        self._unproductive = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Marks the end of a request: the next byte belongs to the next head."""
        self._in_body = False
        self._unproductive = 0
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Stops parsing, because another protocol takes over the connection."""
        self._has_ended = True
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """Refuses the request; uvicorn calls this whenever the parser has stopped."""
        self._refuse()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the timer."""
        self._stop_timer()
        super().connection_lost(exc)

    def _head_bytes(self) -> int:
        """The size of a complete head; `_unproductive` may include a part of the body."""
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _stop(self, reason: ProblemType) -> None:
        self._reason = reason
        raise HeadRefused

    def _refuse(self) -> None:
        """Answers after the earlier requests of the connection, then closes it."""
        self._has_ended = True
        self._stop_timer()
        self._unset_keepalive_if_required()
        cycle = self.cycle
        if self._in_body and (self.pipeline or cycle.response_started):
            self.transport.close()  # the answer to this request may have begun
            return
        self.flow.resume_reading()
        refusal = self._refusal_cycle()
        app: Any = refusing(self._reason, self.origins)  # uvicorn has its own types for ASGI
        if self._in_body:
            cycle.disconnected = True
            cycle.message_event.set()
        if self._in_body or cycle is None or cycle.response_complete:
            self._start_asgi_task(refusal, app)
        else:
            self.pipeline.appendleft((refusal, app))

    def _refusal_cycle(self) -> RequestResponseCycle:
        path = self.url.partition(b"?")[0][:200] if self.scope else b""
        scope: Any = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "method": "GET",
            "path": path.decode("ascii", "replace") if path.startswith(b"/") else "/",
            "query_string": b"",
            "headers": list(self.headers or []),
            "state": {},
        }
        return RequestResponseCycle(
            scope=scope,
            transport=LingeringTransport(self.transport, self.loop),  # type: ignore[arg-type]
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=False,
            on_response=self.on_response_complete,
        )

    def _start_timer(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_LIMIT_S, self._time_out)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _time_out(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self.transport.close()


def limiting_heads(origins: Collection[str]) -> type[HeadLimitProtocol]:
    """The protocol for a Gateway that pages of these origins may call."""

    class OriginProtocol(HeadLimitProtocol):
        """The protocol of one Gateway."""

    OriginProtocol.origins = origins
    return OriginProtocol
