"""The settlement completes what callers left open, without any webhook."""

import pytest

from errors import Conflict, UpstreamFailed
from studio.payments.settlement import settle_due
from tests.studio.payments.shop import Shop


@pytest.mark.parametrize("kind", ["lost_answer", "error"])
async def test_nobody_need_ask_again(shop: Shop, kind: str) -> None:
    payment = await shop.approved()
    shop.simulator.fault("capture", kind, times=3)
    with pytest.raises(UpstreamFailed):
        await shop.capture(payment)
    shop.simulator.forget_faults()
    await settle_due(shop.database, shop.paypal)
    assert (await shop.row(payment)).status == "COMPLETED"
    await shop.check_books()


@pytest.mark.parametrize(("decision", "action"), [
    ("COMPLETED", "PAYMENT_CAPTURED"), ("DECLINED", "PAYMENT_DECLINED"),
])  # fmt: skip
async def test_a_pending_capture_is_settled_without_any_webhook(
    shop: Shop, decision: str, action: str
) -> None:
    payment = await shop.approved()
    shop.simulator.fault("capture", "pending")
    pending = await shop.capture(payment)
    assert pending.status == "PENDING" and pending.check_at is not None
    assert (await shop.capture(pending)).capture_id == pending.capture_id
    with pytest.raises(Conflict):
        await shop.refund(pending.capture_id)
    shop.simulator.post(f"/simulator/captures/{pending.capture_id}/settle", {"status": decision})
    await shop.settle()
    row = await shop.row(payment)
    assert (row.status, row.check_at is None) == (decision, decision == "DECLINED")
    assert (await shop.audit(payment))[-1] == action
    if decision == "DECLINED":
        with pytest.raises(Conflict):
            await shop.capture(row)
    await shop.check_books()


async def test_an_order_whose_answer_was_lost_is_found_again(shop: Shop) -> None:
    shop.simulator.fault("create", "lost_answer", times=3)
    with pytest.raises(UpstreamFailed):
        await shop.order()
    (row,) = await shop.rows()
    assert (row.status, row.order_id) == ("CREATING", None)
    shop.simulator.forget_faults()
    await shop.settle()
    (row,) = await shop.rows()
    assert row.status == "CREATED" and row.order_id and row.approval_url


async def test_a_pending_refund_and_one_made_at_paypal_come_into_the_books(shop: Shop) -> None:
    payment = await shop.captured()
    shop.simulator.fault("refund", "pending")
    waiting = await shop.refund(payment.capture_id, "5.00")
    assert (waiting.line.status, waiting.payment.status) == ("PENDING", "COMPLETED")
    by_hand = {"amount": {"currency_code": "EUR", "value": "4.00"}}
    shop.simulator.post(f"/simulator/captures/{payment.capture_id}/refund", by_hand)
    await shop.settle()
    row = await shop.row(payment)
    assert (row.status, f"{row.refunded:.2f}") == ("PARTIALLY_REFUNDED", "4.00")
    with pytest.raises(Conflict, match=r"11\.00"):
        await shop.refund(payment.capture_id, "11.01")
    shop.simulator.post(f"/simulator/refunds/{waiting.line.refund_id}/settle")
    await shop.settle()
    row = await shop.row(payment)
    assert f"{row.refunded:.2f}" == "9.00"
    await shop.check_books()


async def test_a_refund_that_no_event_told_of_is_seen_one_day(shop: Shop) -> None:
    payment = await shop.captured()
    assert payment.check_at is not None
    wait_s = (payment.check_at - payment.created_at).total_seconds()
    assert 0.9 * 86_400 < wait_s < 1.1 * 86_400
    shop.simulator.post(f"/simulator/captures/{payment.capture_id}/refund")
    await shop.settle(1)
    row = await shop.row(payment)
    assert (row.status, row.check_at) == ("REFUNDED", None)
    await shop.check_books()
