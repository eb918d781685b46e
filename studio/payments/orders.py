"""Creates PayPal orders: once for each idempotency key, even if answers are lost.

The row is inserted first and contains the whole request. Then PayPal is called outside of any
transaction. The request id is derived from the row, so any caller can repeat the same call.
"""

from typing import Any
from uuid import UUID, uuid4

from sqlmodel.ext.asyncio.session import AsyncSession

from db.engine import Database
from db.payments import (
    get_payment,
    get_payment_by_key,
    get_payment_by_paypal_id,
    insert_payment,
    move_payment,
)
from db.tables import Payment
from errors import Conflict, NotFound, UpstreamFailed
from integrations.paypal.paypal import PayPal, Refusal
from studio.context import current_request_id
from studio.forms import fingerprint
from studio.payments.books import record_status, write_order
from studio.payments.order_form import OrderForm, order_request, price
from studio.payments.paypal_documents import read_order

LEASE_S = 30.0
"""How long one caller may work on a payment before another takes it over."""


async def create_order(
    database: Database,
    paypal: PayPal,
    user_id: UUID,
    form: OrderForm,
    *,
    idempotency_key: str | None = None,
) -> Payment:
    """A new order that the payer can approve, or the one that was created under this key.

    Raises:
        Invalid, Conflict: it can't be ordered, or the key was used with another request.
        UpstreamFailed: PayPal refuses it or doesn't answer; a call with the same key tries again.
    """
    request_fingerprint = fingerprint(form.model_dump(mode="json"))
    async with database.transaction() as session:
        payment = await get_payment_by_key(session, user_id, idempotency_key)
        if payment is None:
            new = await prepare_payment(session, user_id, form)
            new.idempotency_key, new.fingerprint = idempotency_key, request_fingerprint
            payment = await insert_payment(session, new, LEASE_S)
    if payment.fingerprint != request_fingerprint:
        raise Conflict("this Idempotency-Key was used with another request")
    if payment.status in ("CREATING", "FAILED"):
        payment = await place_order(database, paypal, payment)
    return payment


async def prepare_payment(session: AsyncSession, user_id: UUID, form: OrderForm) -> Payment:
    """A row, not inserted yet, with the whole request to PayPal; raises as `price`."""
    total, items = await price(session, form)
    payment_id = uuid4()
    return Payment(
        id=payment_id,
        user_id=user_id,
        status="CREATING",
        amount=total.decimal,
        currency=total.currency,
        payload={"request": order_request(payment_id, form, total, items)},
        request_id=current_request_id(),
    )


async def place_order(database: Database, paypal: PayPal, payment: Payment) -> Payment:
    """Creates the payment's order at PayPal; concurrent callers get the same order.

    Raises:
        UpstreamFailed: PayPal refuses it or doesn't answer.
    """
    try:
        document = await paypal.create_order(
            payment.payload["request"], request_id=f"{payment.id}-create"
        )
        order = read_order(document)
    except Refusal:
        await fail_payment(database, payment, actor_id=payment.user_id)
        raise
    async with database.transaction() as session:
        return await write_order(
            session, payment.id, order, actor_id=payment.user_id,
            approval_url=approval_url(document),
        )  # fmt: skip


async def fail_payment(
    database: Database, payment: Payment, *, actor_id: UUID | None = None
) -> None:
    """Marks a payment as FAILED if its order was never created."""
    async with database.transaction() as session:
        failed = await move_payment(session, payment.id, "FAILED", ("CREATING",), check_at=None)
        if failed is not None:
            record_status(session, failed, actor_id=actor_id)


def approval_url(document: dict[str, Any]) -> str:
    """The address at which the payer approves the order.

    Raises:
        UpstreamFailed: PayPal's document contains no such address.
    """
    for link in document.get("links", ()):
        if link.get("rel") in ("payer-action", "approve"):
            return str(link["href"])
    raise UpstreamFailed("PayPal's order has no page to approve it")


async def find_own_payment(database: Database, order_id: str, user_id: UUID) -> Payment:
    """The user's payment for a PayPal order.

    Raises:
        NotFound: there is no such payment, or it belongs to another user.
    """
    async with database.read() as session:
        payment = await get_payment_by_paypal_id(session, order_id=order_id)
    if payment is None or payment.user_id != user_id:
        raise NotFound("there is no such order")
    return payment


async def reload(database: Database, payment_id: UUID) -> Payment:
    """The payment's row as it is now.

    Raises:
        NotFound: there is no such payment.
    """
    async with database.read() as session:
        payment = await get_payment(session, payment_id)
    if payment is None:
        raise NotFound("there is no such order")
    return payment
