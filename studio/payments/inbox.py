"""Receives PayPal's events: verifies and stores them, answers, and then applies them."""

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
from integrations.paypal.webhooks import ForgedEvent, WebhookVerifier
from studio.context import shared_task
from studio.payments.webhooks import apply_event, read_event, store_event

REFUSAL_LOG_EVERY_S = 60.0
CONCURRENT_EVENTS = 4
"""Events that one process applies concurrently."""

log = structlog.get_logger("studio.webhooks")


class WebhookInbox:
    """The inbox of a process; `studio.payments.settlement` applies events that failed here."""

    def __init__(self, database: Database, paypal: PayPal) -> None:
        self._database = database
        self._paypal = paypal
        self._verifier = WebhookVerifier(paypal)
        self._slots = asyncio.Semaphore(CONCURRENT_EVENTS)
        self._tasks: set[asyncio.Task[None]] = set()
        self.refused = 0
        self._next_refusal_log_s = 0.0

    async def receive(self, headers: Mapping[str, str], body: bytes, *, ip: str) -> bool:
        """Verifies and stores a transmission. Returns False if its event is stored already.

        Raises:
            Malformed: the event is not from PayPal; such refusals are counted.
            Unavailable: the event can't be verified now; PayPal will send it again.
        """
        try:
            await self._verifier.verify(headers, body)
            event = read_event(json.loads(body))
        except UpstreamFailed as error:
            raise Unavailable("the event can't be verified right now") from error
        except (ForgedEvent, ValueError, RecursionError) as error:
            why = error.detail if isinstance(error, ForgedEvent) else "no JSON"
            self._count_refusal(why, ip)
            raise Malformed("this is not a webhook of PayPal's") from error
        is_new = await store_event(self._database, event)
        if is_new:
            task = shared_task(self._apply(event), name=f"webhook {event.event_id}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return is_new

    async def settled(self) -> None:
        """Waits until every event that was received has been tried once."""
        await asyncio.gather(*self._tasks)

    async def _apply(self, event: WebhookEvent) -> None:
        async with self._slots:
            try:
                await apply_event(self._database, self._paypal, event)
            except (StudioError, SQLAlchemyError) as error:
                log.warning("webhook.left", webhook=event.event_id, error=repr(error))

    def _count_refusal(self, why: str, ip: str) -> None:
        """Counts a refusal; logs the count once a minute at most, as anyone may send events."""
        self.refused += 1
        if time.monotonic() >= self._next_refusal_log_s:
            log.warning("webhook.refused", refused=self.refused, why=why, ip=ip)
            self._next_refusal_log_s = time.monotonic() + REFUSAL_LOG_EVERY_S
