"""Completes unfinished work: unapplied events, and payments and refunds of unknown outcome."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db.engine import Database
from db.payments import claim_due_events, claim_due_payments, move_payment, set_next_check
from db.tables import Payment, WebhookEvent
from errors import Conflict, StudioError
from integrations.paypal.paypal import PayPal, Refusal
from studio.context import serving
from studio.payments.books import record_status, write_order
from studio.payments.captures import GONE, capture_claimed, return_to_payer
from studio.payments.orders import LEASE_S, fail_payment, place_order
from studio.payments.paypal_documents import PayPalOrder, read_order
from studio.payments.refund_lines import read_lines
from studio.payments.refunds import request_refund
from studio.payments.states import UNPAID
from studio.payments.webhooks import LEASE_S as EVENT_LEASE_S
from studio.payments.webhooks import apply_event

BATCH = 20
EVERY_S = 5.0
RETRY_S = 60.0
CAPTURE_RETRY_S = 5.0
"""Time until an unfinished capture is tried again; short, because a caller may be waiting."""
REPLAY_S = 5 * 3600.0
"""PayPal remembers a request's id for six hours; older requests are not repeated."""
APPROVAL_S = 3 * 3600.0
"""A payer's approval is valid this long; an older order that PayPal has forgotten is void."""

log = structlog.get_logger("studio.settlement")


async def settle_forever(database: Database, paypal: PayPal) -> None:
    """Runs a round every few seconds, and at once after a round that was full."""
    while True:
        try:
            count = await settle_due(database, paypal)
        except (StudioError, SQLAlchemyError) as error:
            count = 0
            log.warning("settlement.interrupted", error=repr(error))
        if count < BATCH:
            await asyncio.sleep(EVERY_S)


async def settle_due(database: Database, paypal: PayPal) -> int:
    """Settles one batch of due events and payments. Returns how many there were.

    Any number of processes may call it: each claims rows of its own, and every step is repeatable.

    Raises:
        Unavailable: the database can't be reached.
    """
    async with database.transaction() as session:
        events = await claim_due_events(session, limit=BATCH, lease_s=EVENT_LEASE_S)
    for event in events:
        with serving(f"event-{event.event_id}"[:64]):
            await apply_or_log(database, paypal, event)
    async with database.transaction() as session:
        payments = await claim_due_payments(session, limit=BATCH, lease_s=LEASE_S)
    for payment in payments:
        with serving(payment.request_id):
            await settle_or_log(database, paypal, payment)
    return len(events) + len(payments)


async def apply_or_log(database: Database, paypal: PayPal, event: WebhookEvent) -> None:
    """Applies one event; an error is logged, and the event is due again when its lease expires."""
    try:
        await apply_event(database, paypal, event)
    except (StudioError, SQLAlchemyError) as error:
        log.warning("webhook.left", webhook=event.event_id, error=repr(error))


async def settle_or_log(database: Database, paypal: PayPal, payment: Payment) -> None:
    """Settles one payment; an error is logged, and the payment is due again after a pause."""
    try:
        await settle(database, paypal, payment)
    except (StudioError, SQLAlchemyError) as error:
        log.warning("payment.unsettled", payment=str(payment.id), error=repr(error))
        pause_s = CAPTURE_RETRY_S if payment.status == "CAPTURING" else RETRY_S
        with suppress(StudioError, SQLAlchemyError):  # the payment is due later anyway
            async with database.transaction() as session:
                await set_next_check(session, payment.id, pause_s)


async def settle(database: Database, paypal: PayPal, payment: Payment) -> None:
    """Writes PayPal's state of one payment, and completes what callers began.

    Raises:
        StudioError: it can't be settled now.
    """
    if payment.order_id is None:
        await settle_creating(database, paypal, payment)
        return
    try:
        order = read_order(await paypal.get_order(payment.order_id))
    except Refusal as refusal:
        await settle_forgotten(database, payment, refusal)
        return
    async with database.transaction() as session:
        payment = await write_order(session, payment.id, order)
    if payment.status == "CAPTURING":
        await settle_capturing(database, paypal, payment, order)
    for line in read_lines(payment.refunds).values():
        if line.status == "REQUESTED":
            await request_refund(database, paypal, payment, line)


async def settle_creating(database: Database, paypal: PayPal, payment: Payment) -> None:
    """Repeats the request for an order whose answer was lost; an old payment becomes FAILED."""
    if age_s(payment) < REPLAY_S:
        await place_order(database, paypal, payment)
    else:
        await fail_payment(database, payment)


async def settle_forgotten(database: Database, payment: Payment, refusal: Refusal) -> None:
    """Marks a payment as VOIDED if PayPal has forgotten its order, as it does with unpaid orders.

    Raises:
        Refusal: PayPal refuses for another reason, or the order is too young to be forgotten.
    """
    if refusal.issue not in GONE or age_s(payment) < APPROVAL_S:
        raise refusal
    before = (*UNPAID, "CAPTURING")
    async with database.transaction() as session:
        void = await move_payment(session, payment.id, "VOIDED", before, check_at=None)
        if void is not None:
            record_status(session, void)


async def settle_capturing(
    database: Database, paypal: PayPal, payment: Payment, order: PayPalOrder
) -> None:
    """Captures an approved order; an order without an approval goes back to the payer."""
    if order.status == "APPROVED":
        try:
            await capture_claimed(database, paypal, payment)
        except Conflict as conflict:  # the row contains the outcome already
            log.info("payment.not_captured", payment=str(payment.id), why=conflict.detail)
    elif order.status in ("CREATED", "VOIDED"):
        await return_to_payer(database, payment)


def age_s(payment: Payment) -> float:
    """The time since the payment's row was inserted."""
    return (datetime.now(UTC) - payment.created_at).total_seconds()
