"""Stores PayPal's events once, and applies them from the stored rows, in any order.

An event only says which order has changed; the amounts are then read from PayPal.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel.ext.asyncio.session import AsyncSession

from db.audit import insert_audit
from db.engine import Database
from db.payments import (
    finish_event,
    get_payment,
    get_payment_by_paypal_id,
    insert_event,
    postpone_event,
)
from db.tables import Payment, WebhookEvent
from errors import Malformed, StudioError
from integrations.paypal.paypal import PayPal, Refusal
from studio.context import current_request_id
from studio.forms import refuse_unstorable
from studio.payments.books import write_order
from studio.payments.paypal_documents import read_order

LEASE_S = 30.0
FIRST_RETRY_S, LONGEST_RETRY_S = 5.0, 3600.0
MONEY_EVENTS = ("CHECKOUT.ORDER.", "PAYMENT.CAPTURE.")
DISPUTE = "CUSTOMER.DISPUTE."
NOT_OURS = "it belongs to no payment of this studio"

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
        raise Malformed("this is not an event of PayPal's") from None
    return WebhookEvent(event_id=event_id, type=kind, payload=document)


async def store_event(database: Database, event: WebhookEvent) -> bool:
    """Stores the event for its receiver to apply. Returns False if it is stored already."""
    async with database.transaction() as session:
        return await insert_event(session, event, LEASE_S)


async def apply_event(database: Database, paypal: PayPal, event: WebhookEvent) -> None:
    """Applies an event and marks it as applied; after a failure it is due again later."""
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
    """Applies an event. Returns a remark for its row, if it changed nothing."""
    if not event.type.startswith((*MONEY_EVENTS, DISPUTE)):
        return "this type of event is not used"
    async with database.transaction() as session:
        payment = await find_subject(session, event.payload)
        if event.type.startswith(DISPUTE):
            record_dispute(session, event, payment)
            return None if payment else NOT_OURS
    if payment is None:
        return NOT_OURS
    return await refresh_payment(database, paypal, payment)


async def refresh_payment(database: Database, paypal: PayPal, payment: Payment) -> str | None:
    """Reads the payment's order from PayPal and writes it. Returns a remark if there is no order.

    Raises:
        UpstreamFailed: PayPal doesn't answer.
    """
    if payment.order_id is None:
        return "its order is still being created"
    try:
        order = await paypal.get_order(payment.order_id)
    except Refusal as refusal:
        return f"PayPal shows no such order: {refusal.issue}"
    async with database.transaction() as session:
        await write_order(session, payment.id, read_order(order))
    return None


async def find_subject(session: AsyncSession, event: Mapping[str, Any]) -> Payment | None:
    """The payment that an event is about, by any id that the event contains."""
    ids = read_ids(event)
    if ids["payment"] and (payment := await get_payment(session, ids["payment"])):
        return payment
    if ids["order"] and (payment := await get_payment_by_paypal_id(session, order_id=ids["order"])):
        return payment
    if ids["capture"]:
        return await get_payment_by_paypal_id(session, capture_id=ids["capture"])
    return None


def read_ids(event: Mapping[str, Any]) -> dict[str, Any]:
    """The ids of the payment, the order and the capture; None for an id that the event lacks."""
    kind, resource = str(event.get("event_type")), event.get("resource")
    ids: dict[str, Any] = {"payment": None, "order": None, "capture": None}
    if not isinstance(resource, dict):
        return ids
    if kind.startswith("CHECKOUT.ORDER."):
        ids["order"] = _text(resource.get("id"))
        units = resource.get("purchase_units")
        first = units[0] if isinstance(units, list) and units else None
        ids["payment"] = _uuid(first.get("custom_id") if isinstance(first, dict) else None)
        return ids
    if kind.startswith(DISPUTE):
        sales = resource.get("disputed_transactions")
        first = sales[0] if isinstance(sales, list) and sales else None
        if isinstance(first, dict):
            ids["capture"] = _text(first.get("seller_transaction_id"))
        return ids
    ids["payment"] = _uuid(resource.get("custom_id"))
    related = resource.get("supplementary_data")
    related = related.get("related_ids") if isinstance(related, dict) else None
    if isinstance(related, dict):
        ids["order"] = _text(related.get("order_id"))
    ids["capture"] = _capture_above(resource) or _text(resource.get("id"))
    return ids


def _capture_above(resource: Mapping[str, Any]) -> str | None:
    """The capture's id from a refund's link to it."""
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
    """Adds a dispute to the audit log; a person has to answer it, and no money moves yet."""
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
