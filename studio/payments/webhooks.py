"""PayPal's events: stored once, answered at once, applied from the stored row, in any order.

An event says where to look. What is written about money is what PayPal shows of the order then.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel.ext.asyncio.session import AsyncSession

from db.audit import insert_audit
from db.engine import Database
from db.payments import find_payment, finish_event, get_payment, insert_event, postpone_event
from db.tables import Payment, WebhookEvent
from errors import Malformed, StudioError
from integrations.paypal.paypal import PayPal, Refusal
from studio.context import current_request_id
from studio.forms import refuse_unstorable
from studio.payments.books import write_seen
from studio.payments.states import read_order

LEASE_S = 30.0
FIRST_RETRY_S, LONGEST_RETRY_S = 5.0, 3600.0
MONEY = ("CHECKOUT.ORDER.", "PAYMENT.CAPTURE.")
DISPUTE = "CUSTOMER.DISPUTE."

log = structlog.get_logger("studio.webhooks")


def read_event(document: Any) -> WebhookEvent:
    """A verified body -> the row to store.

    Raises:
        Malformed: it has no id or type, or can't be stored.
    """
    try:
        refuse_unstorable(document)
        event_id, kind = document["id"], document["event_type"]
        if not (isinstance(event_id, str) and isinstance(kind, str)):
            raise TypeError
    except (KeyError, TypeError, ValueError):
        raise Malformed("this is no event of PayPal's") from None
    return WebhookEvent(event_id=event_id, type=kind, payload=document)


async def store_event(database: Database, event: WebhookEvent) -> bool:
    """Keeps the event for whoever stored it to apply; False where it is there already."""
    async with database.transaction() as session:
        return await insert_event(session, event, LEASE_S)


async def apply_event(database: Database, paypal: PayPal, event: WebhookEvent) -> None:
    """Does what the event asks for, and marks it; failures are noted, to be tried again."""
    try:
        remark = await _apply(database, paypal, event)
        async with database.transaction() as session:
            await finish_event(session, event.event_id, remark)
    except (StudioError, SQLAlchemyError) as error:
        why = error.detail if isinstance(error, StudioError) else "the database refused it"
        log.warning("webhook.postponed", webhook=event.event_id, error=repr(error))
        pause_s = min(FIRST_RETRY_S * 2.0 ** min(event.attempts, 20), LONGEST_RETRY_S)
        async with database.transaction() as session:
            await postpone_event(session, event.event_id, retry_s=pause_s, error=why)


async def _apply(database: Database, paypal: PayPal, event: WebhookEvent) -> str | None:
    """What is to be remarked of the event, if anything."""
    if not event.type.startswith((*MONEY, DISPUTE)):
        return "nothing follows from it"
    async with database.transaction() as session:
        payment = await find_subject(session, event.payload)
        if event.type.startswith(DISPUTE):
            record_dispute(session, event, payment)
            return None if payment else "no payment of ours"
    if payment is None:
        return "no payment of ours"
    return await look_again(database, paypal, payment)


async def look_again(database: Database, paypal: PayPal, payment: Payment) -> str | None:
    """Writes what PayPal shows of the payment's order now.

    Raises:
        UpstreamFailed: PayPal doesn't say.
    """
    if payment.order_id is None:
        return "its order is still being made"
    try:
        order = await paypal.get_order(payment.order_id)
    except Refusal as refusal:
        return f"PayPal shows no such order: {refusal.issue}"
    async with database.transaction() as session:
        await write_seen(session, payment.id, read_order(order))
    return None


async def find_subject(session: AsyncSession, event: Mapping[str, Any]) -> Payment | None:
    """The payment that an event is about, by any id that it names."""
    names = names_in(event)
    if names["payment"] and (payment := await get_payment(session, names["payment"])):
        return payment
    if names["order"] and (payment := await find_payment(session, order_id=names["order"])):
        return payment
    if names["capture"]:
        return await find_payment(session, capture_id=names["capture"])
    return None


def names_in(event: Mapping[str, Any]) -> dict[str, Any]:
    """Our id, PayPal's order and PayPal's capture, where the event holds them."""
    kind, resource = str(event.get("event_type")), event.get("resource")
    found: dict[str, Any] = {"payment": None, "order": None, "capture": None}
    if not isinstance(resource, dict):
        return found
    if kind.startswith("CHECKOUT.ORDER."):
        found["order"] = _text(resource.get("id"))
        units = resource.get("purchase_units")
        first = units[0] if isinstance(units, list) and units else None
        found["payment"] = _uuid(first.get("custom_id") if isinstance(first, dict) else None)
        return found
    if kind.startswith(DISPUTE):
        sales = resource.get("disputed_transactions")
        first = sales[0] if isinstance(sales, list) and sales else None
        if isinstance(first, dict):
            found["capture"] = _text(first.get("seller_transaction_id"))
        return found
    found["payment"] = _uuid(resource.get("custom_id"))
    related = resource.get("supplementary_data")
    related = related.get("related_ids") if isinstance(related, dict) else None
    if isinstance(related, dict):
        found["order"] = _text(related.get("order_id"))
    found["capture"] = _capture_above(resource) or _text(resource.get("id"))
    return found


def _capture_above(resource: Mapping[str, Any]) -> str | None:
    """A refund links to the capture that it belongs to."""
    links = resource.get("links")
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("rel") == "up":
            head, _, last = str(link.get("href")).rpartition("/")
            return last if head.endswith("/captures") else None
    return None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _uuid(value: Any) -> UUID | None:
    try:
        return UUID(value)
    except (ValueError, TypeError, AttributeError):
        return None


def record_dispute(session: AsyncSession, event: WebhookEvent, payment: Payment | None) -> None:
    """A person has to answer it; the books change when money moves."""
    resource = event.payload.get("resource")
    detail = resource if isinstance(resource, dict) else {}
    insert_audit(
        session, "PAYMENT_DISPUTED", actor_id=None,
        subject=payment.order_id if payment else None, request_id=current_request_id(),
        detail={
            "event": event.type, "paymentId": str(payment.id) if payment else None,
            "disputeId": detail.get("dispute_id"), "reason": detail.get("reason"),
            "status": detail.get("status"),
        },
    )  # fmt: skip
