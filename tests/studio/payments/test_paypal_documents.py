"""PayPal's documents are read, or refused as not understood."""

from typing import Any

import pytest

from errors import UpstreamFailed
from studio.payments.money import Money
from studio.payments.paypal_documents import read_order, read_refund

AMOUNT = {"currency_code": "EUR", "value": "20.00"}


def order(status: str, **payments: Any) -> dict[str, Any]:
    return {
        "id": "ORDER", "status": status,
        "purchase_units": [{"custom_id": "payment", "payments": payments}],
    }  # fmt: skip


def capture(status: str, name: str = "CAPTURE") -> dict[str, Any]:
    return {"id": name, "status": status, "amount": AMOUNT}


def test_an_order_without_a_capture_has_its_own_status() -> None:
    read = read_order(order("PAYER_ACTION_REQUIRED"))
    assert (read.status, read.capture_id, read.captured) == ("CREATED", None, None)
    assert read_order(order("APPROVED")).status == "APPROVED"


def test_the_capture_that_has_come_furthest_counts() -> None:
    captures = [capture("DECLINED", "A"), capture("COMPLETED", "B"), capture("UNKNOWN", "C")]
    read = read_order(order("COMPLETED", captures=captures))
    assert (read.status, read.capture_id, read.captured) == ("COMPLETED", "B", Money("EUR", 2000))


@pytest.mark.parametrize(
    "document",
    [
        {},
        order("COMPLETED"),
        order("APPROVED") | {"purchase_units": []},
        order("COMPLETED", captures=[{"status": "COMPLETED"}]),
        order("COMPLETED", captures=[capture("COMPLETED") | {"amount": AMOUNT | {"value": "x"}}]),
        order("COMPLETED", refunds=[{"id": "R"}]),
    ],
)
def test_other_documents_are_not_understood(document: dict[str, Any]) -> None:
    with pytest.raises(UpstreamFailed):
        read_order(document)


def test_a_refund_with_an_unknown_status_is_pending() -> None:
    refund = read_refund({"id": "R", "status": "NEW", "amount": AMOUNT})
    assert (refund.status, refund.custom_id, refund.amount) == ("PENDING", None, Money("EUR", 2000))
    with pytest.raises(UpstreamFailed, match="invalid amount"):
        read_refund({"id": "R", "status": "PENDING", "amount": AMOUNT | {"value": "0.001"}})


def test_a_payer_is_never_in_a_log() -> None:
    document = order("APPROVED") | {
        "payer": {"payer_id": "PAYER", "email_address": "payer@example.com", "name": {}}
    }
    read = read_order(document)
    assert read.payer == {"payerId": "PAYER", "email": "payer@example.com"}
    assert "PAYER" not in repr(read)
