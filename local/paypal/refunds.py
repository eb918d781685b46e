"""Refunds of captures, at most the captured amount."""

from decimal import Decimal
from typing import Any

from local.paypal.orders import NO_DECIMALS, list_refunds, parse_amount, refund_shape
from local.paypal.problems import Problem
from local.paypal.store import SimulatorStore, new_id, now

Json = dict[str, Any]


def refund_capture(
    store: SimulatorStore, capture: Json, body: Json, *, outcome: str | None = None
) -> Json:
    """Refunds a capture, or a part of it; with the `outcome` `pending` it is not complete at once.

    Raises:
        Problem: the amount is too large, its currency differs, or the capture is not complete.
    """
    if capture["status"] not in ("COMPLETED", "PARTIALLY_REFUNDED"):
        issue = (
            "CAPTURE_FULLY_REFUNDED" if capture["status"] == "REFUNDED" else "REFUND_NOT_ALLOWED"
        )
        raise Problem(422, issue)
    currency = capture["amount"]["currency_code"]
    left = Decimal(capture["amount"]["value"]) - sum_refunds(store, capture)
    amount = body.get("amount") or {
        "currency_code": currency,
        "value": format_amount(left, currency),
    }
    value = parse_amount(amount, "/amount")
    if amount["currency_code"] != currency:
        raise Problem(422, "REFUND_CAPTURE_CURRENCY_MISMATCH", "/amount/currency_code")
    if value > left:
        raise Problem(422, "REFUND_AMOUNT_EXCEEDED", "/amount/value")
    refund = {
        "id": new_id(), "status": "PENDING" if outcome == "pending" else "COMPLETED",
        "amount": amount, "create_time": now(), "update_time": now(),
        "capture_id": capture["id"], "base": capture["base"],
    }  # fmt: skip
    for name in ("custom_id", "note_to_payer", "invoice_id"):
        if body.get(name):
            refund[name] = body[name]
    store.put("refund", refund)
    capture["refund_ids"].append(refund["id"])
    store.put("capture", capture)
    if refund["status"] == "COMPLETED":
        complete_refund(store, capture, refund)
    return refund


def complete_refund(store: SimulatorStore, capture: Json, refund: Json) -> None:
    """Completes a refund and queues its webhook event."""
    refund |= {"status": "COMPLETED", "update_time": now()}
    store.put("refund", refund)
    done = sum_refunds(store, capture, status="COMPLETED")
    whole = done >= Decimal(capture["amount"]["value"])
    capture |= {"status": "REFUNDED" if whole else "PARTIALLY_REFUNDED", "update_time": now()}
    store.put("capture", capture)
    document = refund_shape(refund)
    store.add_event("PAYMENT.CAPTURE.REFUNDED", "Payment refunded", "refund", document)


def sum_refunds(store: SimulatorStore, capture: Json, status: str | None = None) -> Decimal:
    """Sums a capture's refunds with one status, or those that are complete or pending."""
    statuses = (status,) if status else ("PENDING", "COMPLETED")
    return sum(
        (
            Decimal(refund["amount"]["value"])
            for refund in list_refunds(store, capture)
            if refund["status"] in statuses
        ),
        Decimal(0),
    )


def format_amount(value: Decimal, currency: str) -> str:
    """Formats an amount as PayPal does."""
    return f"{value:.0f}" if currency in NO_DECIMALS else f"{value:.2f}"
