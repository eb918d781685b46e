"""Refunds: each is made once, and together they never exceed the payment."""

import asyncio

import pytest

from errors import Conflict, UpstreamFailed
from studio.payments.refunds import RefundResult
from tests.studio.payments.shop import Shop


async def test_refused_credentials_are_no_refused_refund(shop: Shop) -> None:
    payment = await shop.captured()
    shop.simulator.fault("refund", "unauthorized", times=6)
    with pytest.raises(UpstreamFailed):
        await shop.refund(payment.capture_id)
    shop.simulator.forget_faults()
    await shop.settle()
    assert (await shop.row(payment)).status == "REFUNDED"


async def test_a_refused_refund_may_be_asked_for_again(shop: Shop) -> None:
    payment = await shop.captured()
    shop.simulator.fault("refund", "refused")
    with pytest.raises(Conflict, match="COMPLIANCE_VIOLATION"):
        await shop.refund(payment.capture_id)
    assert (await shop.refund(payment.capture_id)).payment.status == "REFUNDED"
    await shop.check_books()


@pytest.mark.parametrize("kind", ["lost_answer", "error_after", "error", "lost_request"])
async def test_a_refund_that_was_not_answered_is_made_once(shop: Shop, kind: str) -> None:
    payment = await shop.captured()
    shop.simulator.fault("refund", kind, times=3)
    with pytest.raises(UpstreamFailed):
        await shop.refund(payment.capture_id, "7.50")
    shop.simulator.forget_faults()
    with pytest.raises(Conflict, match=r"12\.50"):
        await shop.refund(payment.capture_id, "12.51")
    await shop.settle()
    row = await shop.row(payment)
    assert (row.status, f"{row.refunded:.2f}") == ("PARTIALLY_REFUNDED", "7.50")
    await shop.check_books()


async def test_the_same_key_carries_a_refund_on(shop: Shop) -> None:
    """The answer was lost, but PayPal has made the refund: the second call finds it."""
    payment = await shop.captured()
    shop.simulator.fault("refund", "lost_answer", times=3)
    with pytest.raises(UpstreamFailed, match="same Idempotency-Key"):
        await shop.refund(payment.capture_id, "7.50", key="click")
    shop.simulator.forget_faults()
    shop.simulator.fault("refund", "error", times=9)
    for _ in range(2):
        done = await shop.refund(payment.capture_id, "7.50", key="click")
        assert (done.line.status, done.line.minor) == ("COMPLETED", 750)
    shop.simulator.forget_faults()
    assert f"{(await shop.row(payment)).refunded:.2f}" == "7.50"
    with pytest.raises(Conflict):
        await shop.refund(payment.capture_id, "7.51", key="click")
    await shop.check_books()


async def test_refunds_at_once_never_exceed_the_payment(shop: Shop) -> None:
    payment = await shop.captured()
    done = await asyncio.gather(
        *(shop.refund(payment.capture_id, "3.00") for _ in range(12)), return_exceptions=True
    )
    assert sum(isinstance(result, RefundResult) for result in done) == 6
    assert all(isinstance(result, RefundResult | Conflict) for result in done)
    last = await shop.refund(payment.capture_id)
    assert (last.line.minor, last.payment.status) == (200, "REFUNDED")
    await shop.check_books()
