"""Captures approved orders exactly once, even if many callers request it or answers are lost.

A caller claims the payment's row first (CAPTURING, with a lease). Then it calls PayPal outside of
any transaction. The request id is derived from the row, so the next caller can repeat the call.
"""

import asyncio
import random
import time
from datetime import UTC, datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from db.audit import insert_audit
from db.engine import Database
from db.payments import after_s, claim_capture, is_attempt, move_payment, set_next_check
from db.tables import Payment
from errors import Conflict, Unavailable, UpstreamFailed
from integrations.paypal.paypal import PayPal, Refusal
from studio.context import current_request_id
from studio.payments.books import record_status, write_order
from studio.payments.orders import LEASE_S, reload
from studio.payments.paypal_documents import read_order
from studio.payments.states import CAPTURED

WAIT_S = 25.0
FIRST_POLL_S, LONGEST_POLL_S = 0.1, 1.0
APPROVAL_CHECK_S = 3600.0
GONE = frozenset({"RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID", "ORDER_EXPIRED", "ORDER_VOIDED"})
"""PayPal's issues that mean that the order no longer exists."""
UNAPPROVED = frozenset({"ORDER_NOT_APPROVED", "PAYER_ACTION_REQUIRED"})
"""PayPal's issues that mean that the payer has to approve the order first."""
NOT_APPROVED = "the payer has not approved the order yet"
NOT_CAPTURABLE = {
    "CREATING": "PayPal has not confirmed the order yet: create it again",
    "FAILED": "PayPal refused this order",
    "VOIDED": "the order has expired unpaid",
    "DECLINED": "PayPal declined the payment: create a new order",
}
"""State -> why a payment in it can't be captured."""


async def capture(
    database: Database, paypal: PayPal, payment: Payment, *, wait_s: float = WAIT_S
) -> Payment:
    """Captures the payment, or waits while another caller captures it. Returns it.

    Raises:
        Conflict: the payer has not approved it, or it can't be captured any more.
        UpstreamFailed: PayPal doesn't answer; the next call or the settlement completes it.
        Unavailable: another caller is still capturing it after `wait_s`.
    """
    until_s = time.monotonic() + wait_s
    poll_s = FIRST_POLL_S
    while True:
        if payment.status in CAPTURED:
            return payment
        require_capturable(payment)
        if is_claimable(payment):
            async with database.transaction() as session:
                claimed = await claim_capture(session, payment.id, LEASE_S)
            if claimed is not None:
                return await capture_claimed(database, paypal, claimed)
        if time.monotonic() > until_s:
            raise Unavailable("the payment is still being captured")
        await asyncio.sleep(poll_s * random.uniform(0.7, 1.0))  # noqa: S311 - jitter
        poll_s = min(poll_s * 1.5, LONGEST_POLL_S)
        attempt = payment.attempt
        payment = await reload(database, payment.id)
        if payment.status == "CREATED":  # the capture that this caller waited for was refused
            raise Conflict(
                NOT_APPROVED if payment.attempt == attempt else "PayPal declined the payment"
            )


def is_claimable(payment: Payment) -> bool:
    """Whether a claim may succeed, as far as this copy of the row shows."""
    if payment.status != "CAPTURING" or payment.check_at is None:
        return True
    return payment.check_at <= datetime.now(UTC)


def require_capturable(payment: Payment) -> Payment:
    """Returns the payment unchanged.

    Raises:
        Conflict: it can never be captured in its state, or its order does not exist yet.
    """
    if payment.status in NOT_CAPTURABLE:
        raise Conflict(NOT_CAPTURABLE[payment.status])
    return payment


async def capture_claimed(database: Database, paypal: PayPal, payment: Payment) -> Payment:
    """Captures a payment at PayPal that this caller has claimed. Returns it.

    Raises:
        Conflict, UpstreamFailed: as `capture`.
    """
    order_id = str(payment.order_id)
    try:
        document = await paypal.capture_order(
            order_id, request_id=f"{payment.id}-capture-{payment.attempt}"
        )
    except Refusal as refusal:
        return await settle_refusal(database, paypal, payment, refusal)
    except UpstreamFailed:
        async with database.transaction() as session:
            await set_next_check(session, payment.id, 0)  # the next caller need not wait
        raise
    async with database.transaction() as session:
        captured = await write_order(
            session, payment.id, read_order(document), actor_id=payment.user_id
        )
    return require_capturable(captured)


async def settle_refusal(
    database: Database, paypal: PayPal, payment: Payment, refusal: Refusal
) -> Payment:
    """Handles a refused capture. Returns the payment if it was captured before.

    Raises:
        Conflict: it is not captured. UpstreamFailed: PayPal doesn't answer.
    """
    if refusal.issue in UNAPPROVED:
        await return_to_payer(database, payment)
        raise Conflict(NOT_APPROVED)
    if refusal.issue in GONE:
        async with database.transaction() as session:
            void = await move_payment(session, payment.id, "VOIDED", ("CAPTURING",), check_at=None)
            if void is not None:
                record_status(session, void, actor_id=payment.user_id, issue=refusal.issue)
        raise Conflict(NOT_CAPTURABLE["VOIDED"])
    order = read_order(await paypal.get_order(str(payment.order_id)))
    if order.capture_id is not None:
        async with database.transaction() as session:
            captured = await write_order(session, payment.id, order, actor_id=payment.user_id)
        return require_capturable(captured)
    await return_to_payer(database, payment, declined_for=refusal.issue)
    raise Conflict(
        f"PayPal declined it ({refusal.issue}): approve it again with another payment method"
    )


async def return_to_payer(
    database: Database, payment: Payment, *, declined_for: str | None = None
) -> None:
    """Moves a payment from CAPTURING to CREATED, so that the payer may approve it (again).

    Does nothing if another caller has ended this attempt meanwhile.

    declined_for: PayPal's issue, if it declined the capture; the next capture is a new attempt.
    """
    attempt = payment.attempt if declined_for is None else payment.attempt + 1
    async with database.transaction() as session:
        created = await move_payment(
            session, payment.id, "CREATED", ("CAPTURING",), is_attempt(payment.attempt),
            attempt=attempt, check_at=after_s(APPROVAL_CHECK_S),
        )  # fmt: skip
        if created is not None and declined_for is not None:
            record_refusal(session, payment, declined_for)


def record_refusal(session: AsyncSession, payment: Payment, issue: str) -> None:
    """Adds the row of the audit log for a capture that PayPal declined."""
    insert_audit(
        session, "CAPTURE_REFUSED", actor_id=payment.user_id, subject=payment.order_id,
        outcome="failed", request_id=current_request_id(),
        detail={"paymentId": str(payment.id), "issue": issue, "attempt": payment.attempt},
    )  # fmt: skip
