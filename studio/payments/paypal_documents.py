"""Reads PayPal's order and refund documents into the values that the studio stores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from errors import Invalid, UpstreamFailed
from studio.payments.money import Money, exact_money
from studio.payments.states import rank

ORDER_STATES = {
    "CREATED": "CREATED", "SAVED": "CREATED", "PAYER_ACTION_REQUIRED": "CREATED",
    "APPROVED": "APPROVED", "VOIDED": "VOIDED",
}  # fmt: skip
"""PayPal's status of an order without a capture -> the payment's state."""
CAPTURE_STATES = {
    "PENDING": "PENDING", "DECLINED": "DECLINED", "FAILED": "DECLINED", "COMPLETED": "COMPLETED",
    "PARTIALLY_REFUNDED": "PARTIALLY_REFUNDED", "REFUNDED": "REFUNDED",
}  # fmt: skip
"""PayPal's status of a capture -> the payment's state."""
REFUND_STATES = ("PENDING", "FAILED", "CANCELLED", "COMPLETED")


@dataclass(frozen=True)
class PayPalRefund:
    """A refund as PayPal reports it; `custom_id` is our own id if the studio requested it."""

    refund_id: str
    custom_id: str | None
    status: str
    amount: Money


@dataclass(frozen=True)
class PayPalOrder:
    """An order as PayPal reports it; `status` is the corresponding state of its payment.

    Attributes:
        captured: the captured amount; None without a capture.
        payer: personal data, which is never logged.
    """

    order_id: str
    custom_id: str | None
    status: str
    capture_id: str | None
    captured: Money | None
    refunds: Sequence[PayPalRefund]
    payer: Mapping[str, str] = field(repr=False)


def read_order(document: Mapping[str, Any]) -> PayPalOrder:
    """PayPal's order document -> the order.

    Raises:
        UpstreamFailed: the studio can't have created such an order.
    """
    try:
        (unit,) = document["purchase_units"]
        payments = unit.get("payments") or {}
        captures = [
            capture
            for capture in payments.get("captures") or ()
            if capture["status"] in CAPTURE_STATES
        ]
        capture = max(captures, key=lambda item: rank(CAPTURE_STATES[item["status"]]), default=None)
        return PayPalOrder(
            order_id=str(document["id"]),
            custom_id=unit.get("custom_id"),
            status=read_status(document, capture),
            capture_id=capture and str(capture["id"]),
            captured=capture and read_money(capture["amount"]),
            refunds=[read_refund(refund) for refund in payments.get("refunds") or ()],
            payer=read_payer(document),
        )
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise UpstreamFailed("PayPal's answer can't be understood") from error


def read_status(document: Mapping[str, Any], capture: Mapping[str, Any] | None) -> str:
    """The payment's state, from the capture if there is one.

    Raises:
        UpstreamFailed: PayPal reports an order that is closed without a capture.
    """
    if capture is not None:
        return CAPTURE_STATES[capture["status"]]
    status = ORDER_STATES.get(document["status"])
    if status is None:
        raise UpstreamFailed(
            f"PayPal reports an order that is {document['status']} but has no capture"
        )
    return status


def read_refund(document: Mapping[str, Any]) -> PayPalRefund:
    """PayPal's refund document -> the refund; an unknown status counts as PENDING.

    Raises:
        UpstreamFailed: this is not a refund document.
    """
    try:
        status = str(document["status"])
        return PayPalRefund(
            refund_id=str(document["id"]),
            custom_id=document.get("custom_id"),
            status=status if status in REFUND_STATES else "PENDING",
            amount=read_money(document["amount"]),
        )
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise UpstreamFailed("PayPal's answer can't be understood") from error


def read_money(amount: Mapping[str, str]) -> Money:
    """PayPal's `{currency_code, value}` as money.

    Raises:
        UpstreamFailed: the value is not exact in the currency's minor units.
    """
    try:
        return exact_money(Decimal(amount["value"]), amount["currency_code"])
    except Invalid as error:
        raise UpstreamFailed(f"PayPal reports an invalid amount: {error.detail}") from error


def read_payer(document: Mapping[str, Any]) -> dict[str, str]:
    """The payer's id, e-mail address and name, as far as the order names them."""
    source = (document.get("payment_source") or {}).get("paypal") or {}
    payer = document.get("payer") or {}
    name = source.get("name") or payer.get("name") or {}
    fields = {
        "payerId": source.get("account_id") or payer.get("payer_id"),
        "email": source.get("email_address") or payer.get("email_address"),
        "name": " ".join(name[part] for part in ("given_name", "surname") if name.get(part)),
    }
    return {key: str(value) for key, value in fields.items() if value}
