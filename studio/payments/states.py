"""The states of a payment, which may follow which, and what PayPal's order says about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from errors import Invalid, UpstreamFailed
from studio.payments.money import Money, exact_money

STATES = (
    "CREATING",  # the row is there, PayPal's answer isn't yet
    "FAILED",  # PayPal refused the order
    "CREATED",  # the payer may approve
    "APPROVED",
    "CAPTURING",  # the owner wants it captured: from here on it is carried through
    "VOIDED",  # the order is gone at PayPal, unpaid
    "PENDING",  # captured, and PayPal holds the money for now
    "DECLINED",
    "COMPLETED",
    "PARTIALLY_REFUNDED",
    "REFUNDED",
)
"""Statuses only move down this list, whatever comes in which order. Two exceptions, both without
money: a capture that PayPal did not accept goes back to CREATED, and an uncaptured order follows
what PayPal says of its approval. PayPal's own words, from the table to the wire."""

UNPAID = ("CREATED", "APPROVED")
CAPTURED = ("PENDING", "COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED")
REFUNDABLE = ("COMPLETED", "PARTIALLY_REFUNDED")
CLOSED = ("FAILED", "VOIDED", "DECLINED", "REFUNDED")
"""Nothing more can come, unless a refund is under way."""

ORDER_STATES = {
    "CREATED": "CREATED", "SAVED": "CREATED", "PAYER_ACTION_REQUIRED": "CREATED",
    "APPROVED": "APPROVED", "VOIDED": "VOIDED",
}  # fmt: skip
CAPTURE_STATES = {
    "PENDING": "PENDING", "DECLINED": "DECLINED", "FAILED": "DECLINED", "COMPLETED": "COMPLETED",
    "PARTIALLY_REFUNDED": "PARTIALLY_REFUNDED", "REFUNDED": "REFUNDED",
}  # fmt: skip

REFUND_STATES = ("PENDING", "FAILED", "CANCELLED", "COMPLETED")


def before(status: str) -> tuple[str, ...]:
    """The states that a payment may leave for this one because PayPal says so."""
    if status in UNPAID:
        return ("CREATING", "FAILED", *UNPAID)
    return STATES[: STATES.index(status)]


@dataclass(frozen=True)
class SeenRefund:
    """A refund as PayPal shows it; `custom_id` is our own id where we asked for it."""

    refund_id: str
    custom_id: str | None
    status: str
    amount: Money


@dataclass(frozen=True)
class Seen:
    """What one look at PayPal showed of an order."""

    order_id: str
    custom_id: str | None
    status: str
    capture_id: str | None
    captured: Money | None
    refunds: Sequence[SeenRefund]
    payer: Mapping[str, str] = field(repr=False)
    """A person: never in a log."""


def read_order(order: Mapping[str, Any]) -> Seen:
    """PayPal's order document -> what matters of it.

    Raises:
        UpstreamFailed: it isn't one that we could have made.
    """
    try:
        (unit,) = order["purchase_units"]
        payments = unit.get("payments") or {}
        captures = [
            one for one in payments.get("captures") or () if one["status"] in CAPTURE_STATES
        ]
        best = max(captures, key=lambda one: rank(CAPTURE_STATES[one["status"]]), default=None)
        status = (
            ORDER_STATES.get(order["status"]) if best is None else CAPTURE_STATES[best["status"]]
        )
        if status is None:
            raise UpstreamFailed(
                f"PayPal shows an order that is {order['status']} and not captured"
            )
        return Seen(
            order_id=str(order["id"]),
            custom_id=unit.get("custom_id"),
            status=status,
            capture_id=best and str(best["id"]),
            captured=best and read_money(best["amount"]),
            refunds=[read_refund(one) for one in payments.get("refunds") or ()],
            payer=read_payer(order),
        )
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise UpstreamFailed("PayPal's answer can't be understood") from error


def rank(status: str) -> int:
    """How far a payment in this state has come."""
    return STATES.index(status)


def read_refund(refund: Mapping[str, Any]) -> SeenRefund:
    """PayPal's refund document; a status that we don't know is one that may yet change.

    Raises:
        UpstreamFailed: it isn't one.
    """
    try:
        status = str(refund["status"])
        return SeenRefund(
            refund_id=str(refund["id"]),
            custom_id=refund.get("custom_id"),
            status=status if status in REFUND_STATES else "PENDING",
            amount=read_money(refund["amount"]),
        )
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise UpstreamFailed("PayPal's answer can't be understood") from error


def read_money(amount: Mapping[str, str]) -> Money:
    """PayPal's `{currency_code, value}`.

    Raises:
        UpstreamFailed: not exact in the currency's own units.
    """
    try:
        return exact_money(Decimal(amount["value"]), amount["currency_code"])
    except Invalid as error:
        raise UpstreamFailed(f"PayPal shows an odd amount: {error.detail}") from error


def read_payer(order: Mapping[str, Any]) -> dict[str, str]:
    """Who paid, as far as PayPal says."""
    source = (order.get("payment_source") or {}).get("paypal") or {}
    payer = order.get("payer") or {}
    name = source.get("name") or payer.get("name") or {}
    found = {
        "payerId": source.get("account_id") or payer.get("payer_id"),
        "email": source.get("email_address") or payer.get("email_address"),
        "name": " ".join(name[part] for part in ("given_name", "surname") if name.get(part)),
    }
    return {key: str(value) for key, value in found.items() if value}
