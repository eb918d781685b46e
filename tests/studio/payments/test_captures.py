"""Captures: one charge, however many callers ask and whatever answers get lost."""

import asyncio

import pytest

from db.payments import claim_capture
from errors import Conflict, Unavailable, UpstreamFailed
from studio.payments import captures
from tests.studio.payments.shop import Shop, open_shop


async def test_fifty_captures_at_once_are_one_charge(
    shop: Shop, database_url: str, redis_url: str
) -> None:
    payment = await shop.approved()
    async with open_shop(database_url, redis_url, shop.simulator) as replica:
        shops = (shop, replica)
        done = await asyncio.gather(*(shops[turn % 2].capture(payment) for turn in range(50)))
    assert len({(result.status, result.capture_id) for result in done}) == 1
    (at_paypal,) = shop.simulator.captures(str(payment.order_id))
    assert (done[0].status, done[0].capture_id) == ("COMPLETED", at_paypal["id"])
    assert (await shop.audit(payment)).count("PAYMENT_CAPTURED") == 1


async def test_fifty_captures_before_approval_are_fifty_conflicts(shop: Shop) -> None:
    payment = await shop.order()
    done = await asyncio.gather(*(shop.capture(payment) for _ in range(50)), return_exceptions=True)
    assert {type(error) for error in done} == {Conflict}
    assert (await shop.row(payment)).status == "CREATED"
    shop.simulator.approve(str(payment.order_id))
    assert (await shop.capture(payment)).status == "COMPLETED"


@pytest.mark.parametrize("kind", ["lost_answer", "error_after", "lost_request", "error", "slow"])
async def test_a_capture_that_was_not_answered_is_carried_through(shop: Shop, kind: str) -> None:
    payment = await shop.approved()
    shop.simulator.fault("capture", kind, times=3)
    if kind == "slow":
        assert (await shop.capture(payment)).status == "COMPLETED"
    else:
        with pytest.raises(UpstreamFailed):
            await shop.capture(payment)
        assert (await shop.row(payment)).status == "CAPTURING"
    shop.simulator.forget_faults()
    again = await shop.capture(await shop.row(payment))
    assert again.status == "COMPLETED"
    await shop.check_books()


async def test_an_order_that_was_captured_elsewhere_is_no_second_charge(shop: Shop) -> None:
    payment = await shop.approved()
    await shop.paypal.capture_order(str(payment.order_id), request_id="by somebody else")
    assert (await shop.capture(payment)).status == "COMPLETED"
    await shop.check_books()


async def test_a_declined_instrument_may_be_replaced(shop: Shop) -> None:
    payment = await shop.approved()
    shop.simulator.fault("capture", "declined")
    with pytest.raises(Conflict, match="INSTRUMENT_DECLINED"):
        await shop.capture(payment)
    with pytest.raises(Conflict, match="not approved"):
        await shop.capture(await shop.row(payment))
    shop.simulator.approve(str(payment.order_id))
    done = await shop.capture(await shop.row(payment))
    assert (done.status, done.attempt) == ("COMPLETED", 2)
    assert await shop.audit(payment) == ["PAYMENT_CREATED", "CAPTURE_REFUSED", "PAYMENT_CAPTURED"]


async def test_an_order_that_paypal_has_forgotten_is_void(shop: Shop) -> None:
    payment = await shop.order()
    shop.simulator.post(f"/simulator/orders/{payment.order_id}/forget")
    with pytest.raises(Conflict, match="expired"):
        await shop.capture(payment)
    row = await shop.row(payment)
    assert (row.status, row.check_at) == ("VOIDED", None)


async def test_a_caller_that_waits_too_long_is_told(shop: Shop) -> None:
    payment = await shop.approved()
    async with shop.database.transaction() as session:
        assert await claim_capture(session, payment.id, 30)
    with pytest.raises(Unavailable):
        await captures.capture(shop.database, shop.paypal, payment, wait_s=0.2)
    await shop.make_due()
    assert (await shop.capture(payment)).status == "COMPLETED"
