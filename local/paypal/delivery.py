"""Sends events to the studio's webhook and repeats them until it accepts them."""

import asyncio
import contextlib
import http.client
from urllib.parse import urlsplit

from local.paypal.signing import Signer
from local.paypal.store import SimulatorStore

MAX_ATTEMPTS = 25
FIRST_S, LONGEST_S = 1.0, 3600.0
POLL_S = 0.3
TIMEOUT_S = 10.0
CONCURRENCY = 8


class Delivery:
    """Sends the events of the outbox; with `is_held` they wait until a test releases them."""

    def __init__(
        self, store: SimulatorStore, signer: Signer, target: str, webhook_id: str, base: str
    ) -> None:
        self._store = store
        self._signer = signer
        self._target = target
        self._webhook_id = webhook_id
        self._cert_url = f"{base}/v1/notifications/certs/CERT-SIMULATOR"
        self.is_held = not target

    def sign(self, body: bytes) -> dict[str, str]:
        """Signs an event; returns the headers of one transmission."""
        return self._signer.headers(body, self._webhook_id, self._cert_url)

    async def run(self) -> None:
        """Sends due events until it is cancelled."""
        while True:
            due = [] if self.is_held else self._store.due_events(CONCURRENCY)
            await asyncio.gather(*(self._send(*event) for event in due))
            if not due:
                await asyncio.sleep(POLL_S)

    async def _send(self, event_id: str, body: bytes, attempts: int) -> None:
        status = await asyncio.to_thread(self._post, body)
        is_accepted = 200 <= status < 300
        again_s = min(FIRST_S * 2.0**attempts, LONGEST_S)
        is_over = is_accepted or attempts + 1 >= MAX_ATTEMPTS
        self._store.mark_event(event_id, again_s=None if is_over else again_s)

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
