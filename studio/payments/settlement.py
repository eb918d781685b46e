"""Heals what nobody told us: events that were not applied, payments and refunds left in doubt."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db.engine import Database
from db.payments import advance, claim_due_events, claim_due_payments, set_check
from db.tables import Payment, WebhookEvent
from errors import Conflict, StudioError
from integrations.paypal.paypal import PayPal, Refusal
from studio.context import serving
from studio.payments.books import note, write_seen
from studio.payments.payments import GONE, LEASE_S, capture_claimed, give_back, place
from studio.payments.refund_lines import read_lines
from studio.payments.refunds import send
from studio.payments.states import UNPAID, Seen, read_order
from studio.payments.webhooks import LEASE_S as EVENT_LEASE_S
from studio.payments.webhooks import apply_event

BATCH = 20
EVERY_S = 5.0
UNSETTLED_S = 60.0
HASTE_S = 5.0
"""A capture that was begun is tried again so soon: somebody may be waiting for it."""
REPLAYED_S = 5 * 3600.0
"""PayPal remembers a request's id for six hours: an order that old is not asked for again."""
APPROVAL_S = 3 * 3600.0
"""A payer's approval is good for so long; an order that PayPal has forgotten later is void."""

log = structlog.get_logger("studio.settlement")


async def settle_forever(database: Database, paypal: PayPal) -> None:
    """A round every few seconds, at once where the last one was full."""
    while True:
        try:
            found = await settle_due(database, paypal)
        except (StudioError, SQLAlchemyError) as error:
            found = 0
            log.warning("settlement.interrupted", error=repr(error))
        if found < BATCH:
            await asyncio.sleep(EVERY_S)


async def settle_due(database: Database, paypal: PayPal) -> int:
    """One round over what is due; how much there was.

    Any number of callers is safe: each takes rows of its own, and what it does may be repeated.

    Raises:
        Unavailable: the database can't be reached.
    """
    async with database.transaction() as session:
        events = await claim_due_events(session, limit=BATCH, lease_s=EVENT_LEASE_S)
    for event in events:
        with serving(f"event-{event.event_id}"[:64]):
            await apply_quietly(database, paypal, event)
    async with database.transaction() as session:
        payments = await claim_due_payments(session, limit=BATCH, lease_s=LEASE_S)
    for payment in payments:
        with serving(payment.request_id):
            await settle_quietly(database, paypal, payment)
    return len(events) + len(payments)


async def apply_quietly(database: Database, paypal: PayPal, event: WebhookEvent) -> None:
    """One event; whatever goes wrong, the others have their turn, and its lease ends by itself."""
    try:
        await apply_event(database, paypal, event)
    except (StudioError, SQLAlchemyError) as error:
        log.warning("webhook.left", webhook=event.event_id, error=repr(error))


async def settle_quietly(database: Database, paypal: PayPal, payment: Payment) -> None:
    """One payment; whatever goes wrong, the others have their turn."""
    try:
        await settle(database, paypal, payment)
    except (StudioError, SQLAlchemyError) as error:
        log.warning("payment.unsettled", payment=str(payment.id), error=repr(error))
        pause_s = HASTE_S if payment.status == "CAPTURING" else UNSETTLED_S
        with suppress(StudioError, SQLAlchemyError):  # then its lease ends by itself
            async with database.transaction() as session:
                await set_check(session, payment.id, pause_s)


async def settle(database: Database, paypal: PayPal, payment: Payment) -> None:
    """Brings one payment to where PayPal says it is, and what was begun to its end.

    Raises:
        StudioError: not now; it is due again after a while.
    """
    if payment.order_id is None:
        await settle_unmade(database, paypal, payment)
        return
    try:
        seen = read_order(await paypal.get_order(payment.order_id))
    except Refusal as refusal:
        await settle_lost(database, payment, refusal)
        return
    async with database.transaction() as session:
        written = await write_seen(session, payment.id, seen)
    if written.status == "CAPTURING":
        await settle_capturing(database, paypal, written, seen)
    for line in read_lines(written.refunds).values():
        if line.status == "REQUESTED":
            await send(database, paypal, written, line)


async def settle_unmade(database: Database, paypal: PayPal, payment: Payment) -> None:
    """An order whose maker heard nothing: asked for again, as long as that is the same call."""
    if age_s(payment) < REPLAYED_S:
        await place(database, paypal, payment)
        return
    async with database.transaction() as session:
        if failed := await advance(session, payment.id, "FAILED", ("CREATING",), check_at=None):
            note(session, failed)


async def settle_lost(database: Database, payment: Payment, refusal: Refusal) -> None:
    """PayPal forgets orders that nobody paid."""
    if refusal.issue not in GONE or age_s(payment) < APPROVAL_S:
        raise refusal
    async with database.transaction() as session:
        before = (*UNPAID, "CAPTURING")
        if gone := await advance(session, payment.id, "VOIDED", before, check_at=None):
            note(session, gone)


async def settle_capturing(
    database: Database, paypal: PayPal, payment: Payment, seen: Seen
) -> None:
    """The owner wanted the money and PayPal has not taken it: now, or back to the payer."""
    if seen.status == "APPROVED":
        try:
            await capture_claimed(database, paypal, payment)
        except Conflict as conflict:  # written already
            log.info("payment.not_captured", payment=str(payment.id), why=conflict.detail)
    elif seen.status in ("CREATED", "VOIDED"):
        await give_back(database, payment, Refusal("ORDER_NOT_APPROVED"), attempt=payment.attempt)


def age_s(payment: Payment) -> float:
    """Since its row was made."""
    return (datetime.now(UTC) - payment.created_at).total_seconds()
