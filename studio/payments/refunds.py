"""Refunds: each is stored in the payment's row first, then requested from PayPal by its own id."""

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

from sqlmodel.ext.asyncio.session import AsyncSession

from db.audit import insert_audit
from db.engine import Database
from db.payments import get_payment, get_payment_by_paypal_id, set_next_check
from db.tables import Payment
from errors import Conflict, Invalid, NotFound, UpstreamFailed
from integrations.paypal.paypal import PayPal, Refusal
from studio.context import current_request_id
from studio.forms import fingerprint
from studio.payments.books import amount_of, write_lines, write_order, write_refund
from studio.payments.money import Money
from studio.payments.order_form import RefundForm, paypal_amount
from studio.payments.orders import LEASE_S
from studio.payments.paypal_documents import read_order, read_refund
from studio.payments.refund_lines import Lines, RefundLine, now, promised, read_lines
from studio.payments.states import REFUNDABLE


@dataclass(frozen=True)
class RefundResult:
    """A refund, and its payment afterwards."""

    payment: Payment
    line: RefundLine


async def refund(
    database: Database,
    paypal: PayPal,
    capture_id: str,
    form: RefundForm,
    *,
    actor_id: UUID,
    idempotency_key: str,
) -> RefundResult:
    """Refunds part of a captured payment, or all that is left of it.

    The key stands for one refund: a second call with it continues the first one.

    Raises:
        NotFound: there is no such capture.
        Conflict: less than the amount is left, the key was used with another request, or PayPal
            refuses.
        UpstreamFailed: PayPal doesn't answer; the settlement continues the refund.
    """
    amount = form.amount.to_money() if form.amount else None
    request_fingerprint = fingerprint(form.model_dump(mode="json"))
    async with database.transaction() as session:
        payment = await lock_captured(session, capture_id)
        lines = read_lines(payment.refunds)
        line = find_line(lines, idempotency_key, request_fingerprint)
        is_new = line is None
        if line is None:
            line = replace(
                promise(payment, lines, amount),
                note=form.note, key=idempotency_key, fingerprint=request_fingerprint,
            )  # fmt: skip
            await write_lines(session, payment, lines | {line.id: line})
            await set_next_check(session, payment.id, LEASE_S)
            record_refund(session, payment, line, "REFUND_REQUESTED", actor_id)
    result = RefundResult(payment, line)
    if line.status == "REQUESTED":
        request = request_refund if is_new else continue_refund
        result = await request(database, paypal, payment, line, actor_id=actor_id)
    if result.line.status == "FAILED":
        raise Conflict("PayPal refused this refund")
    return result


async def lock_captured(session: AsyncSession, capture_id: str) -> Payment:
    """The payment of a capture, locked until the transaction ends.

    Raises:
        NotFound: there is no such capture.
    """
    payment = await get_payment_by_paypal_id(session, capture_id=capture_id)
    if payment is not None:
        payment = await get_payment(session, payment.id, lock=True)
    if payment is None:
        raise NotFound("there is no such capture")
    return payment


def find_line(lines: Lines, key: str, request_fingerprint: str) -> RefundLine | None:
    """The refund that was requested under this key.

    Raises:
        Conflict: the key was used with another request.
    """
    line = next((line for line in lines.values() if line.key == key), None)
    if line is not None and line.fingerprint != request_fingerprint:
        raise Conflict("this Idempotency-Key was used with another request")
    return line


def promise(payment: Payment, lines: Lines, amount: Money | None) -> RefundLine:
    """A new refund of this amount, or of all that is left if the amount is None.

    Raises:
        Invalid: the payment has another currency.
        Conflict: the payment is not captured, or less than the amount is left of it.
    """
    if payment.status not in REFUNDABLE:
        what = "refunded already" if payment.status == "REFUNDED" else "not captured"
        raise Conflict(f"the payment is {what}")
    left = amount_of(payment).minor - promised(lines, payment.currency).minor
    if amount is not None and amount.currency != payment.currency:
        raise Invalid(f"the payment was in {payment.currency}")
    minor = left if amount is None else amount.minor
    if not 0 < minor <= left:
        rest = Money(payment.currency, left)
        raise Conflict(f"only {rest.value} {rest.currency} can still be refunded")
    return RefundLine(str(uuid4()), minor, now(), request_id=current_request_id())


async def continue_refund(
    database: Database,
    paypal: PayPal,
    payment: Payment,
    line: RefundLine,
    *,
    actor_id: UUID | None = None,
) -> RefundResult:
    """Continues a refund that an earlier call stored.

    PayPal forgets the ids of old requests. So the order is read first, and the refund is requested
    only if PayPal's order does not contain it.

    Raises:
        Conflict, UpstreamFailed: as `request_refund`.
    """
    try:
        order = read_order(await paypal.get_order(str(payment.order_id)))
    except UpstreamFailed as error:
        raise continues_later(error) from error
    async with database.transaction() as session:
        payment = await write_order(session, payment.id, order, actor_id=actor_id)
    line = read_lines(payment.refunds)[line.id]
    if line.status != "REQUESTED":
        return RefundResult(payment, line)
    return await request_refund(database, paypal, payment, line, actor_id=actor_id)


def continues_later(error: UpstreamFailed) -> UpstreamFailed:
    """The error with a note that the refund will be continued."""
    note = "the refund is continued; to see its result, repeat it with the same Idempotency-Key"
    return UpstreamFailed(f"{error.detail}: {note}")


async def request_refund(
    database: Database,
    paypal: PayPal,
    payment: Payment,
    line: RefundLine,
    *,
    actor_id: UUID | None = None,
) -> RefundResult:
    """Requests a stored refund from PayPal; a second request has the same id and no effect.

    Raises:
        Conflict: PayPal refuses it for good. UpstreamFailed: PayPal doesn't answer.
    """
    amount = Money(payment.currency, line.minor)
    body: dict[str, Any] = {"amount": paypal_amount(amount), "custom_id": line.id}
    if line.note:
        body["note_to_payer"] = line.note
    try:
        document = await paypal.refund_capture(
            str(payment.capture_id), body, request_id=f"{line.id}-refund"
        )
        paypal_refund = read_refund(document | {"custom_id": line.id})
    except Refusal as refusal:
        await fail_refund(database, payment, line, refusal, actor_id)
        raise Conflict(f"PayPal refused the refund: {refusal.issue}") from None
    except UpstreamFailed as error:
        async with database.transaction() as session:
            await set_next_check(session, payment.id, 0)
        raise continues_later(error) from error
    async with database.transaction() as session:
        payment = await write_refund(session, payment.id, paypal_refund, actor_id=actor_id)
    return RefundResult(payment, read_lines(payment.refunds)[line.id])


async def fail_refund(
    database: Database, payment: Payment, line: RefundLine, refusal: Refusal, actor_id: UUID | None
) -> None:
    """Marks a refund as FAILED, so that its amount can be refunded by another one."""
    async with database.transaction() as session:
        row = await get_payment(session, payment.id, lock=True)
        lines = read_lines(row.refunds) if row else {}
        if row is None or lines[line.id].status != "REQUESTED":
            return
        lines[line.id] = replace(lines[line.id], status="FAILED")
        await write_lines(session, row, lines)
        record_refund(session, row, lines[line.id], "REFUND_REFUSED", actor_id, issue=refusal.issue)


def record_refund(
    session: AsyncSession,
    payment: Payment,
    line: RefundLine,
    action: str,
    actor_id: UUID | None,
    **detail: str,
) -> None:
    """Adds a row about a refund to the audit log."""
    insert_audit(
        session, action, actor_id=actor_id, subject=payment.order_id,
        outcome="failed" if line.status == "FAILED" else "ok", request_id=current_request_id(),
        detail={
            "paymentId": str(payment.id), "refundId": line.id, "currency": payment.currency,
            "amount": Money(payment.currency, line.minor).value, **detail,
        },
    )  # fmt: skip
