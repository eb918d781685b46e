"""Sends events to the studio's webhook, again and again until it takes them."""

import asyncio
import contextlib
import http.client
from urllib.parse import urlsplit

from local.paypal.books import Books
from local.paypal.signing import Signer

MAX_ATTEMPTS = 25
FIRST_S, LONGEST_S = 1.0, 3600.0
LOOK_S = 0.3
TIMEOUT_S = 10.0
AT_ONCE = 8


class Delivery:
    """The outbox's worker; `is_held`: events wait until a test takes or releases them."""

    def __init__(
        self, books: Books, signer: Signer, target: str, webhook_id: str, base: str
    ) -> None:
        self._books = books
        self._signer = signer
        self._target = target
        self._webhook_id = webhook_id
        self._cert_url = f"{base}/v1/notifications/certs/CERT-SIMULATOR"
        self.is_held = not target

    def sign(self, body: bytes) -> dict[str, str]:
        """The headers of one transmission."""
        return self._signer.headers(body, self._webhook_id, self._cert_url)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            due = [] if self.is_held else self._books.due_events(AT_ONCE)
            await asyncio.gather(*(self._send(*event) for event in due))
            if not due:
                await asyncio.sleep(LOOK_S)

    async def _send(self, event_id: str, body: bytes, attempts: int) -> None:
        status = await asyncio.to_thread(self._post, body)
        is_taken = 200 <= status < 300
        again_s = min(FIRST_S * 2.0**attempts, LONGEST_S)
        is_over = is_taken or attempts + 1 >= MAX_ATTEMPTS
        self._books.mark_event(event_id, again_s=None if is_over else again_s)

    def _post(self, body: bytes) -> int:
        parts = urlsplit(self._target)
        connection = http.client.HTTPConnection(
            parts.hostname or "", parts.port or 80, timeout=TIMEOUT_S
        )
        with contextlib.closing(connection):
            try:
                connection.request("POST", parts.path, body=body, headers=self.sign(body))
                return connection.getresponse().status
            except (OSError, http.client.HTTPException):
                return 0
