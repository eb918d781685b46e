"""How long a connection may take over a request's head, and an answer to be taken: uvicorn's gap.

uvicorn ends idle connections between requests; one that sends its first line a byte at a time, or
never reads its answer, it keeps for ever.
"""

import asyncio
import socket
from typing import Any

from uvicorn.protocols.http import auto
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_LIMIT_S = 20.0
UNREAD_LIMIT_S = 60.0


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's protocol with an end to its patience."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """From here on the head is awaited; the kernel ends a connection that takes nothing."""
        super().connection_made(transport)
        peer = transport.get_extra_info("socket")
        if peer is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
            limit_ms = int(UNREAD_LIMIT_S * 1000)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limit_ms)
        self._await_head()

    def on_message_begin(self) -> None:
        """The first byte of a head."""
        super().on_message_begin()
        if self._head_timer is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """The head is here; the body is `gateway.body_limit`'s."""
        self._stop_waiting()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_LIMIT_S, self._give_up)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self.transport.close()


def lose_patience() -> None:
    """Every server that this process starts from now on; Serve has no setting for it."""
    protocols: Any = auto
    protocols.AutoHTTPProtocol = PatientProtocol
