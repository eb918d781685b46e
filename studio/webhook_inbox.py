"""Where PayPal's events arrive: believed or refused, stored, and applied behind the answer."""

import asyncio
import json
from collections.abc import Mapping

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db.audit import insert_audit
from db.engine import Database
from db.tables import WebhookEvent
from errors import Malformed, StudioError, Unavailable, UpstreamFailed
from integrations.paypal import PayPal
from integrations.paypal_webhooks import Forged, WebhookVerifier
from studio.context import current_request_id
from studio.webhooks import apply_event, read_event, store_event

AT_ONCE = 4
"""Events that one process applies side by side; the others wait in their rows' order."""

log = structlog.get_logger("studio.webhooks")


class WebhookInbox:
    """One a process; what it can't finish, `studio.settlement` finds in the table."""

    def __init__(self, database: Database, paypal: PayPal) -> None:
        self._database = database
        self._paypal = paypal
        self._verifier = WebhookVerifier(paypal)
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def receive(self, headers: Mapping[str, str], body: bytes, *, ip: str) -> bool:
        """Stores a transmission that is PayPal's; False where it was there already.

        Raises:
            Malformed: it must not be believed; the audit log has it.
            Unavailable: it can't be checked now: PayPal will send it again.
        """
        try:
            await self._verifier.verify(headers, body)
            event = read_event(json.loads(body))
        except UpstreamFailed as error:
            raise Unavailable("the event can't be checked right now") from error
        except (Forged, ValueError, RecursionError) as error:
            why = error.detail if isinstance(error, Forged) else "no JSON"
            await self._record_refusal(headers, why, ip)
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

    async def _record_refusal(self, headers: Mapping[str, str], why: str, ip: str) -> None:
        shown = {name: headers.get(f"paypal-{name}", "")[:200].replace("\x00", "")
                 for name in ("transmission-id", "cert-url")}  # fmt: skip
        async with self._database.transaction() as session:
            insert_audit(
                session, "WEBHOOK_REFUSED", actor_id=None, outcome="failed", ip=ip,
                detail={"why": why, **shown}, request_id=current_request_id(),
            )  # fmt: skip
