"""Writes PayPal's reports into a payment's row; they may come in any order and repeatedly."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

from db.audit import insert_audit
from db.payments import after_s, get_payment, update_payment
from db.tables import Payment
from errors import UpstreamFailed
from studio.context import current_request_id
from studio.payments.money import Money, exact_money
from studio.payments.paypal_documents import PayPalOrder, PayPalRefund
from studio.payments.refund_lines import Lines, completed, merge, read_lines, store_lines
from studio.payments.states import CAPTURED, CLOSED, REFUNDABLE, before, rank

FIRST_CHECK_S = 60.0
UNPAID_CHECK_S = 3600.0
LONGEST_CHECK_S = 6 * 3600.0
DAY_S = 24 * 3600.0
REFUNDABLE_S = 180 * DAY_S
"""PayPal refunds a capture for this long."""

ACTIONS = {
    "CREATED": "PAYMENT_CREATED", "APPROVED": "PAYMENT_APPROVED", "FAILED": "PAYMENT_FAILED",
    "VOIDED": "PAYMENT_VOIDED", "PENDING": "PAYMENT_PENDING", "DECLINED": "PAYMENT_DECLINED",
    "COMPLETED": "PAYMENT_CAPTURED", "PARTIALLY_REFUNDED": "PAYMENT_REFUNDED",
    "REFUNDED": "PAYMENT_REFUNDED",
}  # fmt: skip
"""State -> the audit log's action when a payment reaches it."""

log = structlog.get_logger("studio.payments")


def amount_of(payment: Payment) -> Money:
    """The amount that the payer owes or has paid."""
    return exact_money(payment.amount, payment.currency)


def payer_of(payment: Payment) -> dict[str, str] | None:
    """The payer's data, as far as PayPal reports it."""
    payer: dict[str, str] | None = payment.payload.get("payer")
    return payer


async def write_order(
    session: AsyncSession,
    payment_id: UUID,
    order: PayPalOrder,
    *,
    actor_id: UUID | None = None,
    **columns: Any,
) -> Payment:
    """Writes PayPal's order into its payment. Returns the updated row.

    columns: further columns, which are written only if the payment's status changes.

    Raises:
        UpstreamFailed: this is not the payment's order, or the captured amount is wrong.
    """
    payment = await lock_payment(session, payment_id)
    require_ours(payment, order)
    lines = merge(read_lines(payment.refunds), order.refunds)
    status = status_after_refunds(order.status, lines, payment)
    columns["order_id"] = order.order_id
    if order.capture_id is not None:
        columns["capture_id"] = order.capture_id
    if order.payer and payment.user_id is not None:  # deleted accounts' payments have no payer
        columns["payload"] = payment.payload | {"payer": dict(order.payer)}
    return await write_status(session, payment, status, lines, actor_id=actor_id, **columns)


async def write_refund(
    session: AsyncSession, payment_id: UUID, refund: PayPalRefund, *, actor_id: UUID | None = None
) -> Payment:
    """Writes PayPal's answer to a refund into its payment. Returns the updated row."""
    payment = await lock_payment(session, payment_id)
    lines = merge(read_lines(payment.refunds), [refund])
    status = status_after_refunds(payment.status, lines, payment)
    return await write_status(session, payment, status, lines, actor_id=actor_id)


async def lock_payment(session: AsyncSession, payment_id: UUID) -> Payment:
    """The payment's row, locked until the transaction ends.

    Raises:
        UpstreamFailed: there is no such payment.
    """
    payment = await get_payment(session, payment_id, lock=True)
    if payment is None:
        raise UpstreamFailed("there is no such payment")
    return payment


def require_ours(payment: Payment, order: PayPalOrder) -> None:
    """Checks that PayPal's order belongs to this payment.

    Raises:
        UpstreamFailed: its ids or its captured amount are not the payment's.
    """
    is_other = order.custom_id is not None and order.custom_id != str(payment.id)
    is_second = payment.order_id is not None and payment.order_id != order.order_id
    if is_other or is_second or order.captured not in (None, amount_of(payment)):
        log.error(
            "payment.mismatch", payment=str(payment.id), order=order.order_id, status=order.status,
            is_other=is_other, is_second=is_second, captured=str(order.captured),
        )  # fmt: skip
        raise UpstreamFailed("PayPal reports another order or amount than the studio requested")


def status_after_refunds(status: str, lines: Lines, payment: Payment) -> str:
    """The state that completed refunds lead to from `status`."""
    refunded = completed(lines, payment.currency)
    if status not in CAPTURED or not refunded.minor:
        return status
    is_all = refunded >= amount_of(payment)
    return max(status, "REFUNDED" if is_all else "PARTIALLY_REFUNDED", key=rank)


async def write_status(
    session: AsyncSession,
    payment: Payment,
    status: str,
    lines: Lines,
    *,
    actor_id: UUID | None = None,
    **columns: Any,
) -> Payment:
    """Moves a locked payment to `status` if that is allowed, and writes its refunds.

    Returns the row.

    columns: further columns, which are written only if the status changes.
    """
    if status == payment.status or payment.status not in before(status):
        return await write_lines(session, payment, lines)
    changes = columns | line_columns(payment, status, lines)
    payment = await update_payment(session, payment, status=status, **changes)
    record_status(session, payment, actor_id=actor_id, refunds=store_lines(lines))
    return payment


async def write_lines(session: AsyncSession, payment: Payment, lines: Lines) -> Payment:
    """Writes the refunds of a locked payment without changing its status. Returns the row."""
    return await update_payment(session, payment, **line_columns(payment, payment.status, lines))


def line_columns(payment: Payment, status: str, lines: Lines) -> dict[str, Any]:
    """The columns that refunds determine: the refunds, their sum, and the next check."""
    columns: dict[str, Any] = {
        "refunds": store_lines(lines),
        "refunded": completed(lines, payment.currency).decimal,
    }
    if status not in ("CREATING", "CAPTURING"):  # in these states `check_at` is a caller's lease
        is_refunding = any(line.is_open for line in lines.values())
        check_s = next_check_s(status, payment.created_at, is_refunding=is_refunding)
        columns["check_at"] = None if check_s is None else after_s(check_s)
    return columns


def next_check_s(status: str, created_at: datetime, *, is_refunding: bool) -> float | None:
    """The time until the next check at PayPal, longer for older payments; None: no more checks.

    PayPal's events report approvals, and refunds that were made on PayPal's own site. The checks
    find those whose event was lost.
    """
    age_s = (datetime.now(UTC) - created_at).total_seconds()
    if is_refunding or status == "PENDING":
        return min(max(FIRST_CHECK_S, age_s / 2), LONGEST_CHECK_S)
    if status in REFUNDABLE:
        return max(DAY_S, age_s) if age_s < REFUNDABLE_S else None
    if status in CLOSED:
        return None
    return min(max(UNPAID_CHECK_S, age_s / 2), LONGEST_CHECK_S)


def record_status(
    session: AsyncSession, payment: Payment, *, actor_id: UUID | None = None, **detail: Any
) -> None:
    """Adds the row of the audit log for a payment's new status."""
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
