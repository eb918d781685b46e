"""Writes into a payment's row what was seen at PayPal: in any order, any number of times."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

from db.audit import insert_audit
from db.payments import advance, after_s, get_payment
from db.tables import Payment
from errors import UpstreamFailed
from studio.context import current_request_id
from studio.payments.money import Money, exact_money
from studio.payments.refund_lines import Lines, completed, merge, read_lines, store_lines
from studio.payments.states import CAPTURED, CLOSED, REFUNDABLE, Seen, before, rank

FIRST_CHECK_S = 60.0
UNPAID_CHECK_S = 3600.0
LONGEST_CHECK_S = 6 * 3600.0
DAY_S = 24 * 3600.0
REFUNDABLE_S = 180 * DAY_S
"""PayPal gives money back for so long."""

ACTIONS = {
    "CREATED": "PAYMENT_CREATED", "APPROVED": "PAYMENT_APPROVED", "FAILED": "PAYMENT_FAILED",
    "VOIDED": "PAYMENT_VOIDED", "PENDING": "PAYMENT_PENDING", "DECLINED": "PAYMENT_DECLINED",
    "COMPLETED": "PAYMENT_CAPTURED", "PARTIALLY_REFUNDED": "PAYMENT_REFUNDED",
    "REFUNDED": "PAYMENT_REFUNDED",
}  # fmt: skip

log = structlog.get_logger("studio.payments")


def amount_of(payment: Payment) -> Money:
    """What the payer owes or has paid."""
    return exact_money(payment.amount, payment.currency)


async def write_seen(
    session: AsyncSession,
    payment_id: UUID,
    seen: Seen,
    *,
    actor_id: UUID | None = None,
    **more: Any,
) -> Payment:
    """The row after this look at PayPal; `more` are columns that are written with a new status.

    Raises:
        UpstreamFailed: what was seen is another order, or another sum than ours.
    """
    payment = await get_payment(session, payment_id, lock=True)
    if payment is None:
        raise UpstreamFailed("there is no such payment")
    require_ours(payment, seen)
    lines = merge(read_lines(payment.refunds), seen.refunds)
    status = status_with(seen, completed(lines, payment.currency), amount_of(payment))
    values: dict[str, Any] = {"order_id": seen.order_id, **more}
    if seen.capture_id is not None:
        values["capture_id"] = seen.capture_id
    if seen.payer and payment.user_id is not None:  # a deleted account's payments name nobody
        values["payload"] = payment.payload | {"payer": dict(seen.payer)}
    moved = None
    if status != payment.status:
        moved = await advance(session, payment_id, status, before(status), **values)
    if moved is not None:
        note(session, moved, actor_id=actor_id, refunds=store_lines(lines))
    return await write_lines(session, moved or payment, lines)


def require_ours(payment: Payment, seen: Seen) -> None:
    """Raises:
    UpstreamFailed: PayPal shows something that this payment can't have become.
    """
    is_other = seen.custom_id is not None and seen.custom_id != str(payment.id)
    is_second = payment.order_id is not None and payment.order_id != seen.order_id
    if is_other or is_second or seen.captured not in (None, amount_of(payment)):
        log.error(
            "payment.mismatch", payment=str(payment.id), order=seen.order_id, status=seen.status,
            is_other=is_other, is_second=is_second, captured=str(seen.captured),
        )  # fmt: skip
        raise UpstreamFailed("PayPal shows another order or amount than was asked for")


def status_with(seen: Seen, refunded: Money, amount: Money) -> str:
    """The capture's status, as far as its refunds have brought it."""
    if seen.status not in CAPTURED or not refunded.minor:
        return seen.status
    reached = "REFUNDED" if refunded >= amount else "PARTIALLY_REFUNDED"
    return max(seen.status, reached, key=rank)


async def write_lines(session: AsyncSession, payment: Payment, lines: Lines) -> Payment:
    """Refunds, their sum, and when to look again; the row is locked by the caller."""
    values: dict[str, Any] = {
        "refunds": store_lines(lines),
        "refunded": completed(lines, payment.currency).decimal,
    }
    if payment.status not in ("CREATING", "CAPTURING"):  # there somebody's lease runs
        is_refunding = any(line.is_open for line in lines.values())
        check_s = next_check_s(payment, is_refunding=is_refunding)
        values["check_at"] = None if check_s is None else after_s(check_s)
    written = await advance(session, payment.id, payment.status, (payment.status,), **values)
    if written is None:
        raise RuntimeError("the payment's row was not locked")
    return written


def next_check_s(payment: Payment, *, is_refunding: bool = False) -> float | None:
    """When to look again: the older, the rarer; None where nothing can come any more.

    Of approvals, and of refunds that were made at PayPal, PayPal tells us: a look is for the day on
    which it doesn't.
    """
    age_s = (datetime.now(UTC) - payment.created_at).total_seconds()
    if is_refunding or payment.status == "PENDING":
        return min(max(FIRST_CHECK_S, age_s / 2), LONGEST_CHECK_S)
    if payment.status in REFUNDABLE:
        return max(DAY_S, age_s) if age_s < REFUNDABLE_S else None
    if payment.status in CLOSED:
        return None
    return min(max(UNPAID_CHECK_S, age_s / 2), LONGEST_CHECK_S)


def note(
    session: AsyncSession, payment: Payment, *, actor_id: UUID | None = None, **detail: Any
) -> None:
    """The line of the audit log for a payment's new status."""
    insert_audit(
        session, ACTIONS[payment.status],
        actor_id=actor_id, subject=str(payment.order_id or payment.id),
        outcome="ok" if payment.status not in ("FAILED", "DECLINED", "VOIDED") else "failed",
        detail={
            "paymentId": str(payment.id), "status": payment.status, "captureId": payment.capture_id,
            "amount": f"{payment.amount:f}", "currency": payment.currency, **detail,
        },
        request_id=current_request_id(),
    )  # fmt: skip
