"""Refunds of captures, up to what was captured."""

from decimal import Decimal
from typing import Any

from local.paypal.books import Books, new_id, now
from local.paypal.orders import NO_DECIMALS, read_amount, refund_shape, refunds_of
from local.paypal.problems import Problem

Json = dict[str, Any]


def refund(books: Books, taken: Json, body: Json, *, outcome: str | None = None) -> Json:
    """Gives money back; `outcome` `pending`: it takes a while.

    Raises:
        Problem: more than is left, another currency, not captured.
    """
    if taken["status"] not in ("COMPLETED", "PARTIALLY_REFUNDED"):
        issue = "CAPTURE_FULLY_REFUNDED" if taken["status"] == "REFUNDED" else "REFUND_NOT_ALLOWED"
        raise Problem(422, issue)
    currency = taken["amount"]["currency_code"]
    left = Decimal(taken["amount"]["value"]) - given_back(books, taken)
    amount = body.get("amount") or {"currency_code": currency, "value": spell(left, currency)}
    wanted = read_amount(amount, "/amount")
    if amount["currency_code"] != currency:
        raise Problem(422, "REFUND_CAPTURE_CURRENCY_MISMATCH", "/amount/currency_code")
    if wanted > left:
        raise Problem(422, "REFUND_AMOUNT_EXCEEDED", "/amount/value")
    made = {
        "id": new_id(), "status": "PENDING" if outcome == "pending" else "COMPLETED",
        "amount": amount, "create_time": now(), "update_time": now(),
        "capture_id": taken["id"], "base": taken["base"],
    }  # fmt: skip
    for name in ("custom_id", "note_to_payer", "invoice_id"):
        if body.get(name):
            made[name] = body[name]
    books.put("refund", made)
    taken["refund_ids"].append(made["id"])
    books.put("capture", taken)
    if made["status"] == "COMPLETED":
        finish(books, taken, made)
    return made


def finish(books: Books, taken: Json, made: Json) -> None:
    """The money has gone back."""
    made |= {"status": "COMPLETED", "update_time": now()}
    books.put("refund", made)
    done = given_back(books, taken, status="COMPLETED")
    whole = done >= Decimal(taken["amount"]["value"])
    taken |= {"status": "REFUNDED" if whole else "PARTIALLY_REFUNDED", "update_time": now()}
    books.put("capture", taken)
    shown = refund_shape(made)
    books.add_event("PAYMENT.CAPTURE.REFUNDED", "Payment refunded", "refund", shown)


def given_back(books: Books, taken: Json, status: str | None = None) -> Decimal:
    """The sum of a capture's refunds, of one status or that may still go."""
    kept = (status,) if status else ("PENDING", "COMPLETED")
    return sum(
        (
            Decimal(one["amount"]["value"])
            for one in refunds_of(books, taken)
            if one["status"] in kept
        ),
        Decimal(0),
    )


def spell(value: Decimal, currency: str) -> str:
    """As PayPal writes a sum."""
    return f"{value:.0f}" if currency in NO_DECIMALS else f"{value:.2f}"
