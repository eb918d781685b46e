"""Orders that are paid with PayPal: made once, captured once, whatever the network does.

The row comes first and says what is wanted; then PayPal is asked, under an id that follows from the
row, while no transaction is open. Whoever finds the row later can ask the same again.
"""

import asyncio
import random
import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlmodel.ext.asyncio.session import AsyncSession

from db.audit import insert_audit
from db.engine import Database
from db.payments import (
    advance,
    after_s,
    claim_capture,
    find_by_key,
    find_payment,
    get_payment,
    insert_payment,
    set_check,
)
from db.tables import Payment
from errors import Conflict, NotFound, Unavailable, UpstreamFailed
from integrations.paypal.paypal import PayPal, Refusal
from studio.context import current_request_id
from studio.idempotency import fingerprint
from studio.payments.books import note, write_seen
from studio.payments.order_form import OrderForm, order_request, price
from studio.payments.states import CAPTURED, read_order
from studio.ports import Studio

LEASE_S = 30.0
"""How long one caller may be about a payment before another takes it up."""
WAIT_S = 25.0
FIRST_LOOK_S, LONGEST_LOOK_S = 0.1, 1.0
GONE = frozenset({"RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID", "ORDER_EXPIRED", "ORDER_VOIDED"})
UNAPPROVED = frozenset({"ORDER_NOT_APPROVED", "PAYER_ACTION_REQUIRED"})
NOT_APPROVED = "the payer has not approved the order yet"
ENDED = {
    "CREATING": "PayPal has not confirmed the order yet: create it again",
    "FAILED": "PayPal refused this order",
    "VOIDED": "the order has expired unpaid",
    "DECLINED": "PayPal declined the payment: make a new order",
}


def require_paypal(studio: Studio) -> PayPal:
    """Raises:
    Unavailable: this studio has none.
    """
    if studio.paypal is None:
        raise Unavailable("payments are not set up here")
    return studio.paypal


async def create_order(
    database: Database,
    paypal: PayPal,
    user_id: UUID,
    form: OrderForm,
    *,
    idempotency_key: str | None = None,
) -> Payment:
    """A new order that waits for the payer, or the one that the idempotency key stands for.

    Raises:
        Invalid, Conflict: it can't be ordered, or the key was used with another request.
        UpstreamFailed: PayPal refuses it, or doesn't answer; the same key carries on.
    """
    asked = fingerprint(form.model_dump(mode="json"))
    async with database.transaction() as session:
        payment = await find_by_key(session, user_id, idempotency_key)
        if payment is None:
            new = await open_payment(session, user_id, form)
            new.idempotency_key, new.fingerprint = idempotency_key, asked
            payment = await insert_payment(session, new, LEASE_S)
    if payment.fingerprint != asked:
        raise Conflict("this Idempotency-Key was used with another request")
    if payment.status in ("CREATING", "FAILED"):
        payment = await place(database, paypal, payment)
    return payment


async def open_payment(session: AsyncSession, user_id: UUID, form: OrderForm) -> Payment:
    """A row with everything that PayPal will be asked; raises as `price`."""
    total, lines = await price(session, form)
    payment_id = uuid4()
    return Payment(
        id=payment_id,
        user_id=user_id,
        status="CREATING",
        amount=total.decimal,
        currency=total.currency,
        payload={"request": order_request(payment_id, form, total, lines)},
        request_id=current_request_id(),
    )


async def place(database: Database, paypal: PayPal, payment: Payment) -> Payment:
    """Has PayPal make the order; callers side by side get the same one.

    Raises:
        UpstreamFailed: as `create_order`.
    """
    try:
        order = await paypal.create_order(
            payment.payload["request"], request_id=f"{payment.id}-create"
        )
        seen = read_order(order)
    except Refusal:
        async with database.transaction() as session:
            if failed := await advance(session, payment.id, "FAILED", ("CREATING",), check_at=None):
                note(session, failed, actor_id=payment.user_id)
        raise
    async with database.transaction() as session:
        return await write_seen(
            session, payment.id, seen, actor_id=payment.user_id, approval_url=approval_url(order)
        )


def approval_url(order: dict[str, Any]) -> str:
    """Where the payer goes.

    Raises:
        UpstreamFailed: PayPal named no such place.
    """
    for link in order.get("links", ()):
        if link.get("rel") in ("payer-action", "approve"):
            return str(link["href"])
    raise UpstreamFailed("PayPal's order has no page to approve it")


async def find_own_payment(database: Database, order_id: str, user_id: UUID) -> Payment:
    """Raises:
    NotFound: there is none, or it is another user's.
    """
    async with database.read() as session:
        payment = await find_payment(session, order_id=order_id)
    if payment is None or payment.user_id != user_id:
        raise NotFound("there is no such order")
    return payment


async def capture(
    database: Database, paypal: PayPal, payment: Payment, *, wait_s: float = WAIT_S
) -> Payment:
    """The payment once it is captured; whoever else is at it is waited for.

    Raises:
        Conflict: the payer has not approved it, or it can't be captured any more.
        UpstreamFailed: PayPal doesn't answer; it is carried on by the next call, or without one.
        Unavailable: another caller is still at it.
    """
    until_s = time.monotonic() + wait_s
    look_s = FIRST_LOOK_S
    while True:
        if payment.status in CAPTURED:
            return payment
        if payment.status in ENDED:
            raise Conflict(ENDED[payment.status])
        if may_claim(payment):
            async with database.transaction() as session:
                claimed = await claim_capture(session, payment.id, LEASE_S)
            if claimed is not None:
                return await capture_claimed(database, paypal, claimed)
        if time.monotonic() > until_s:
            raise Unavailable("the payment is still being captured")
        await asyncio.sleep(look_s * random.uniform(0.7, 1.0))  # noqa: S311 - a spread
        look_s = min(look_s * 1.5, LONGEST_LOOK_S)
        attempt = payment.attempt
        payment = await reload(database, payment.id)
        if payment.status == "CREATED":  # the one that was waited for has been refused
            raise Conflict(NOT_APPROVED if payment.attempt == attempt else "PayPal declined it")


def may_claim(payment: Payment) -> bool:
    """Whether asking for the right to capture makes sense; the database itself decides."""
    if payment.status != "CAPTURING" or payment.check_at is None:
        return True
    return payment.check_at <= datetime.now(UTC)


async def reload(database: Database, payment_id: UUID) -> Payment:
    """The row as it is now."""
    async with database.read() as session:
        payment = await get_payment(session, payment_id)
    if payment is None:
        raise NotFound("there is no such order")
    return payment


async def capture_claimed(database: Database, paypal: PayPal, payment: Payment) -> Payment:
    """Asks PayPal for the money; the row is CAPTURING, by this caller or a former one.

    Raises:
        Conflict, UpstreamFailed: as `capture`.
    """
    order_id = str(payment.order_id)
    try:
        order = await paypal.capture_order(
            order_id, request_id=f"{payment.id}-capture-{payment.attempt}"
        )
    except Refusal as refusal:
        return await settle_refusal(database, paypal, payment, refusal)
    except UpstreamFailed:
        async with database.transaction() as session:
            await set_check(session, payment.id, 0)  # whoever comes next need not wait
        raise
    async with database.transaction() as session:
        written = await write_seen(session, payment.id, read_order(order), actor_id=payment.user_id)
    return require_captured(written)


def require_captured(payment: Payment) -> Payment:
    """Raises:
    Conflict: PayPal has declined it for good.
    """
    if payment.status in ENDED:
        raise Conflict(ENDED[payment.status])
    return payment


async def settle_refusal(
    database: Database, paypal: PayPal, payment: Payment, refusal: Refusal
) -> Payment:
    """What a refused capture means: it was captured before, must be approved (again), or is gone.

    Raises:
        Conflict: it is not captured. UpstreamFailed: PayPal doesn't say.
    """
    if refusal.issue in UNAPPROVED:
        await give_back(database, payment, refusal, attempt=payment.attempt)
        raise Conflict(NOT_APPROVED)
    if refusal.issue in GONE:
        async with database.transaction() as session:
            if gone := await advance(session, payment.id, "VOIDED", ("CAPTURING",), check_at=None):
                note(session, gone, actor_id=payment.user_id, issue=refusal.issue)
        raise Conflict(ENDED["VOIDED"])
    seen = read_order(await paypal.get_order(str(payment.order_id)))
    if seen.capture_id is not None:
        async with database.transaction() as session:
            written = await write_seen(session, payment.id, seen, actor_id=payment.user_id)
        return require_captured(written)
    await give_back(database, payment, refusal, attempt=payment.attempt + 1)
    raise Conflict(f"PayPal declined it ({refusal.issue}): approve it again, another way")


async def give_back(
    database: Database, payment: Payment, refusal: Refusal, *, attempt: int
) -> None:
    """The payer's turn again; nothing where the attempt has been settled meanwhile."""
    async with database.transaction() as session:
        moved = await advance(
            session, payment.id, "CREATED", ("CAPTURING",), same_attempt(payment),
            attempt=attempt, check_at=after_s(3600),
        )  # fmt: skip
        if moved is not None and refusal.issue not in UNAPPROVED:
            record_refusal(session, payment, refusal)


def same_attempt(payment: Payment) -> Any:
    """A condition of the row: nobody has begun another attempt."""
    return Payment.attempt == payment.attempt


def record_refusal(session: AsyncSession, payment: Payment, refusal: Refusal) -> None:
    """A capture that PayPal did not accept."""
    insert_audit(
        session, "CAPTURE_REFUSED", actor_id=payment.user_id, subject=payment.order_id,
        outcome="failed", request_id=current_request_id(),
        detail={"paymentId": str(payment.id), "issue": refusal.issue, "attempt": payment.attempt},
    )  # fmt: skip
