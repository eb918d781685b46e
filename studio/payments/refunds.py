"""Refunds: each promised in the payment's row first, then asked of PayPal under its own id."""

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

from sqlmodel.ext.asyncio.session import AsyncSession

from db.audit import insert_audit
from db.engine import Database
from db.payments import find_payment, get_payment, set_check
from db.tables import Payment
from errors import Conflict, Invalid, NotFound, UpstreamFailed
from integrations.paypal.paypal import PayPal, Refusal
from studio.context import current_request_id
from studio.idempotency import fingerprint
from studio.payments.books import amount_of, write_lines, write_seen
from studio.payments.money import Money
from studio.payments.order_form import RefundForm, spelled
from studio.payments.payments import LEASE_S
from studio.payments.refund_lines import Lines, RefundLine, now, promised, read_lines
from studio.payments.states import REFUNDABLE, Seen, SeenRefund, read_order, read_refund


@dataclass(frozen=True)
class Refunded:
    """A refund, and the payment after it."""

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
) -> Refunded:
    """Part of a captured payment, or all that is left, goes back to the payer.

    The key stands for one refund: asked again, it is carried on, and never made twice.

    Raises:
        NotFound: there is no such capture.
        Conflict: there is less left, or the key was used with another request.
        UpstreamFailed: PayPal refuses it, or doesn't answer; then it is carried on later.
    """
    wanted = form.amount.to_money() if form.amount else None
    asked = fingerprint(form.model_dump(mode="json"))
    async with database.transaction() as session:
        found = await find_payment(session, capture_id=capture_id)
        payment = found and await get_payment(session, found.id, lock=True)
        if payment is None:
            raise NotFound("there is no such capture")
        lines = read_lines(payment.refunds)
        line = known(lines, idempotency_key, asked)
        is_new = line is None
        if line is None:
            line = promise(payment, lines, wanted)
            line = replace(line, note=form.note, key=idempotency_key, fingerprint=asked)
            await write_lines(session, payment, lines | {line.id: line})
            await set_check(session, payment.id, LEASE_S)
            record(session, payment, line, "REFUND_REQUESTED", actor_id)
    done = Refunded(payment, line)
    if line.status == "REQUESTED":
        done = await (send if is_new else carry_on)(
            database, paypal, payment, line, actor_id=actor_id
        )
    if done.line.status == "FAILED":
        raise Conflict("PayPal refused this refund")
    return done


def known(lines: Lines, key: str, asked: str) -> RefundLine | None:
    """The refund that was asked for under this key.

    Raises:
        Conflict: it was another request.
    """
    line = next((one for one in lines.values() if one.key == key), None)
    if line is not None and line.fingerprint != asked:
        raise Conflict("this Idempotency-Key was used with another request")
    return line


def promise(payment: Payment, lines: Lines, wanted: Money | None) -> RefundLine:
    """A new refund of what is not promised yet.

    Raises:
        Invalid: another currency. Conflict: not captured, or there is less left.
    """
    if payment.status not in REFUNDABLE:
        what = "refunded already" if payment.status == "REFUNDED" else "not captured"
        raise Conflict(f"the payment is {what}")
    left = amount_of(payment).minor - promised(lines, payment.currency).minor
    if wanted is not None and wanted.currency != payment.currency:
        raise Invalid(f"the payment was in {payment.currency}")
    minor = left if wanted is None else wanted.minor
    if not 0 < minor <= left:
        least = Money(payment.currency, left)
        raise Conflict(f"only {least.value} {least.currency} can still be refunded")
    return RefundLine(str(uuid4()), minor, now(), request_id=current_request_id())


async def carry_on(
    database: Database,
    paypal: PayPal,
    payment: Payment,
    line: RefundLine,
    *,
    actor_id: UUID | None = None,
) -> Refunded:
    """A refund that was promised before. PayPal may have made it, longer ago than it remembers
    our request's id: it is looked for first, and asked for only where it isn't there.

    Raises:
        Conflict, UpstreamFailed: as `send`.
    """
    try:
        seen = read_order(await paypal.get_order(str(payment.order_id)))
    except UpstreamFailed as error:
        raise later(error) from error
    async with database.transaction() as session:
        payment = await write_seen(session, payment.id, seen, actor_id=actor_id)
    line = read_lines(payment.refunds)[line.id]
    if line.status != "REQUESTED":
        return Refunded(payment, line)
    return await send(database, paypal, payment, line, actor_id=actor_id)


def later(error: UpstreamFailed) -> UpstreamFailed:
    """Says what becomes of the refund."""
    ask = "the refund is carried on; to learn how it ends, ask with the same Idempotency-Key"
    return UpstreamFailed(f"{error.detail}: {ask}")


async def send(
    database: Database,
    paypal: PayPal,
    payment: Payment,
    line: RefundLine,
    *,
    actor_id: UUID | None = None,
) -> Refunded:
    """Asks PayPal for a promised refund; once more is the same call.

    Raises:
        Conflict: PayPal refuses it for good. UpstreamFailed: it doesn't answer.
    """
    amount = Money(payment.currency, line.minor)
    body: dict[str, Any] = {"amount": spelled(amount), "custom_id": line.id}
    if line.note:
        body["note_to_payer"] = line.note
    try:
        answer = await paypal.refund_capture(
            str(payment.capture_id), body, request_id=f"{line.id}-refund"
        )
        seen = read_refund(answer | {"custom_id": line.id})
    except Refusal as refusal:
        await give_up(database, payment, line, refusal, actor_id)
        raise Conflict(f"PayPal refused the refund: {refusal.issue}") from None
    except UpstreamFailed as error:
        async with database.transaction() as session:
            await set_check(session, payment.id, 0)
        raise later(error) from error
    return await write_refund(database, payment, line, seen, actor_id)


async def write_refund(
    database: Database,
    payment: Payment,
    line: RefundLine,
    seen: SeenRefund,
    actor_id: UUID | None,
) -> Refunded:
    """What PayPal answered, in the books."""
    look = Seen(
        order_id=str(payment.order_id), custom_id=str(payment.id), status="COMPLETED",
        capture_id=payment.capture_id, captured=None, refunds=[seen], payer={},
    )  # fmt: skip
    async with database.transaction() as session:
        written = await write_seen(session, payment.id, look, actor_id=actor_id)
    return Refunded(written, read_lines(written.refunds)[line.id])


async def give_up(
    database: Database, payment: Payment, line: RefundLine, refusal: Refusal, actor_id: UUID | None
) -> None:
    """PayPal will not make this refund: its sum may be promised again."""
    async with database.transaction() as session:
        there = await get_payment(session, payment.id, lock=True)
        lines = read_lines(there.refunds) if there else {}
        if there is None or lines[line.id].status != "REQUESTED":
            return
        lines[line.id] = replace(lines[line.id], status="FAILED")
        await write_lines(session, there, lines)
        record(session, there, lines[line.id], "REFUND_REFUSED", actor_id, issue=refusal.issue)


def record(
    session: AsyncSession,
    payment: Payment,
    line: RefundLine,
    action: str,
    actor_id: UUID | None,
    **detail: str,
) -> None:
    """A line of the audit log."""
    insert_audit(
        session, action, actor_id=actor_id, subject=payment.order_id,
        outcome="failed" if line.status == "FAILED" else "ok", request_id=current_request_id(),
        detail={
            "paymentId": str(payment.id), "refundId": line.id, "currency": payment.currency,
            "amount": Money(payment.currency, line.minor).value, **detail,
        },
    )  # fmt: skip
