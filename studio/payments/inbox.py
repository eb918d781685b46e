"""Where PayPal's events arrive: believed or refused, stored, and applied behind the answer."""

import asyncio
import json
import time
from collections.abc import Mapping

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db.engine import Database
from db.tables import WebhookEvent
from errors import Malformed, StudioError, Unavailable, UpstreamFailed
from integrations.paypal.paypal import PayPal
from integrations.paypal.webhooks import Forged, WebhookVerifier
from studio.payments.webhooks import apply_event, read_event, store_event

TELL_S = 60.0
AT_ONCE = 4
"""Events that one process applies side by side; the others wait in their rows' order."""

log = structlog.get_logger("studio.webhooks")


class WebhookInbox:
    """One a process; what it can't finish, `studio.payments.settlement` finds in the table."""

    def __init__(self, database: Database, paypal: PayPal) -> None:
        self._database = database
        self._paypal = paypal
        self._verifier = WebhookVerifier(paypal)
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self.refused = 0
        self._tell_from_s = 0.0

    async def receive(self, headers: Mapping[str, str], body: bytes, *, ip: str) -> bool:
        """Stores a transmission that is PayPal's; False where it was there already.

        Raises:
            Malformed: it must not be believed; such refusals are counted.
            Unavailable: it can't be checked now: PayPal will send it again.
        """
        try:
            await self._verifier.verify(headers, body)
            event = read_event(json.loads(body))
        except UpstreamFailed as error:
            raise Unavailable("the event can't be checked right now") from error
        except (Forged, ValueError, RecursionError) as error:
            why = error.detail if isinstance(error, Forged) else "no JSON"
            self._count_refusal(why, ip)
            raise Malformed("this is no webhook of PayPal's") from error
        is_new = await store_event(self._database, event)
        if is_new:
            task = asyncio.create_task(self._apply(event), name=f"webhook {event.event_id}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return is_new

    async def settled(self) -> None:
        """Until everything that was received has been tried."""
        await asyncio.gather(*self._tasks)

    async def _apply(self, event: WebhookEvent) -> None:
        async with self._slots:
            try:
                await apply_event(self._database, self._paypal, event)
            except (StudioError, SQLAlchemyError) as error:
                log.warning("webhook.left", webhook=event.event_id, error=repr(error))

    def _count_refusal(self, why: str, ip: str) -> None:
        """Anybody can send these: a line of the log now and then, with their number, is enough."""
        self.refused += 1
        if time.monotonic() >= self._tell_from_s:
            log.warning("webhook.refused", refused=self.refused, why=why, ip=ip)
            self._tell_from_s = time.monotonic() + TELL_S
