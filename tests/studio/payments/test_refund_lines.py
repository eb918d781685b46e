"""PayPal's refunds are merged into the stored ones, in any order."""

from itertools import permutations

from studio.payments.money import Money
from studio.payments.paypal_documents import PayPalRefund
from studio.payments.refund_lines import (
    RefundLine,
    completed,
    merge,
    promised,
    read_lines,
    store_lines,
)

LINES = {
    "ours": RefundLine("ours", 500, "2026-01-01T00:00:00+00:00"),
    "failed": RefundLine("failed", 300, "2026-01-02T00:00:00+00:00", "FAILED"),
}
REPORTS = [
    PayPalRefund("R1", "ours", "PENDING", Money("EUR", 500)),
    PayPalRefund("R1", "ours", "COMPLETED", Money("EUR", 500)),
    PayPalRefund("R2", None, "COMPLETED", Money("EUR", 200)),
]


def test_reports_in_any_order_give_the_same_lines() -> None:
    for reports in permutations(REPORTS[:1] + REPORTS[2:]):
        lines = merge(merge(LINES, reports), REPORTS[1:2])
        assert {name: line.status for name, line in lines.items()} == {
            "ours": "COMPLETED", "failed": "FAILED", "R2": "COMPLETED",
        }  # fmt: skip
        assert merge(lines, REPORTS) == lines


def test_a_refund_that_one_order_lists_twice_counts_once() -> None:
    amount = Money("EUR", 500)
    reports = [
        PayPalRefund("R1", "ours", "PENDING", amount), PayPalRefund("R1", None, "COMPLETED", amount)
    ]  # fmt: skip
    for order in (reports, reports[::-1]):
        lines = merge(LINES, order)
        assert lines.keys() == LINES.keys()
        assert completed(lines, "EUR") == promised(lines, "EUR") == amount


def test_a_refund_never_moves_back() -> None:
    lines = merge(merge(LINES, REPORTS[:2]), REPORTS[:1])
    assert lines["ours"].status == "COMPLETED" and not lines["ours"].is_open


def test_sums_of_completed_and_of_promised_refunds() -> None:
    assert completed(LINES, "EUR") == Money("EUR", 0)
    assert promised(LINES, "EUR") == Money("EUR", 500)
    assert completed(merge(LINES, REPORTS), "EUR") == Money("EUR", 700)


def test_the_column_holds_every_line_oldest_first() -> None:
    column = dict(reversed(store_lines(LINES).items()))
    assert list(read_lines(column).items()) == list(LINES.items())
