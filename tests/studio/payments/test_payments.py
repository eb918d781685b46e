"""Captures and refunds: one charge, whoever asks, however often, whatever gets lost."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from errors import Conflict, UpstreamFailed
from studio.payments import payments
from studio.payments.books import write_seen
from studio.payments.order_form import AmountForm, RefundForm
from studio.payments.refunds import Refunded, refund
from studio.payments.settlement import settle_due
from studio.payments.states import CAPTURED, STATES, before, read_order
from tests.studio.payments.till import Till, compare, open_till
from tests.support.simulator import Simulator


@pytest.fixture
async def till(database_url: str, redis_url: str, simulator: Simulator) -> AsyncIterator[Till]:
    async with open_till(database_url, redis_url, simulator, pool_size=20) as opened:
        yield opened


async def give_back(
    till: Till, capture_id: str | None, value: str | None = None, *, key: str | None = None
) -> Refunded:
    amount = AmountForm(value=value, currency="EUR") if value else None
    form = RefundForm(amount=amount)
    return await refund(
        till.database, till.paypal, str(capture_id), form, actor_id=till.user_id,
        idempotency_key=key or uuid4().hex,
    )  # fmt: skip


async def check_books(till: Till) -> None:
    rows = await till.rows()
    compare(rows, till.simulator.orders([str(row.order_id) for row in rows if row.order_id]))


async def test_fifty_captures_at_once_are_one_charge(
    till: Till, database_url: str, redis_url: str
) -> None:
    payment = await till.approved()
    async with open_till(database_url, redis_url, till.simulator) as replica:
        tills = (till, replica)
        done = await asyncio.gather(*(tills[turn % 2].capture(payment) for turn in range(50)))
    assert len({(one.status, one.capture_id) for one in done}) == 1
    (taken,) = till.simulator.captures(str(payment.order_id))
    assert (done[0].status, done[0].capture_id) == ("COMPLETED", taken["id"])
    assert (await till.audit(payment)).count("PAYMENT_CAPTURED") == 1


async def test_fifty_captures_before_approval_are_fifty_conflicts(till: Till) -> None:
    payment = await till.order()
    done = await asyncio.gather(*(till.capture(payment) for _ in range(50)), return_exceptions=True)
    assert {type(one) for one in done} == {Conflict}
    assert (await till.row(payment)).status == "CREATED"
    till.simulator.approve(str(payment.order_id))
    assert (await till.capture(payment)).status == "COMPLETED"


@pytest.mark.parametrize("kind", ["lost_answer", "error_after", "lost_request", "error", "slow"])
async def test_a_capture_that_was_not_answered_is_carried_through(till: Till, kind: str) -> None:
    payment = await till.approved()
    till.simulator.fault("capture", kind, times=3)
    if kind == "slow":
        assert (await till.capture(payment)).status == "COMPLETED"
    else:
        with pytest.raises(UpstreamFailed):
            await till.capture(payment)
        assert (await till.row(payment)).status == "CAPTURING"
    till.simulator.forget_faults()
    again = await till.capture(await till.row(payment))
    assert again.status == "COMPLETED"
    await check_books(till)


@pytest.mark.parametrize("kind", ["lost_answer", "error"])
async def test_nobody_need_ask_again(till: Till, kind: str) -> None:
    payment = await till.approved()
    till.simulator.fault("capture", kind, times=3)
    with pytest.raises(UpstreamFailed):
        await till.capture(payment)
    till.simulator.forget_faults()
    await settle_due(till.database, till.paypal)
    assert (await till.row(payment)).status == "COMPLETED"
    await check_books(till)


async def test_an_order_that_was_captured_elsewhere_is_no_second_charge(till: Till) -> None:
    payment = await till.approved()
    await till.paypal.capture_order(str(payment.order_id), request_id="by somebody else")
    assert (await till.capture(payment)).status == "COMPLETED"
    await check_books(till)


async def test_a_declined_instrument_may_be_replaced(till: Till) -> None:
    payment = await till.approved()
    till.simulator.fault("capture", "declined")
    with pytest.raises(Conflict, match="INSTRUMENT_DECLINED"):
        await till.capture(payment)
    with pytest.raises(Conflict, match="not approved"):
        await till.capture(await till.row(payment))
    till.simulator.approve(str(payment.order_id))
    done = await till.capture(await till.row(payment))
    assert (done.status, done.attempt) == ("COMPLETED", 2)
    assert await till.audit(payment) == ["PAYMENT_CREATED", "CAPTURE_REFUSED", "PAYMENT_CAPTURED"]


@pytest.mark.parametrize(("decision", "action"), [
    ("COMPLETED", "PAYMENT_CAPTURED"), ("DECLINED", "PAYMENT_DECLINED"),
])  # fmt: skip
async def test_a_pending_capture_is_settled_without_any_webhook(
    till: Till, decision: str, action: str
) -> None:
    payment = await till.approved()
    till.simulator.fault("capture", "pending")
    pending = await till.capture(payment)
    assert pending.status == "PENDING" and pending.check_at is not None
    assert (await till.capture(pending)).capture_id == pending.capture_id
    with pytest.raises(Conflict):
        await give_back(till, pending.capture_id)
    till.simulator.post(f"/simulator/captures/{pending.capture_id}/settle", {"status": decision})
    await till.settle()
    row = await till.row(payment)
    assert (row.status, row.check_at is None) == (decision, decision == "DECLINED")
    assert (await till.audit(payment))[-1] == action
    if decision == "DECLINED":
        with pytest.raises(Conflict):
            await till.capture(row)
    await check_books(till)


async def test_an_order_that_paypal_has_forgotten_is_void(till: Till) -> None:
    payment = await till.order()
    till.simulator.post(f"/simulator/orders/{payment.order_id}/forget")
    with pytest.raises(Conflict, match="expired"):
        await till.capture(payment)
    row = await till.row(payment)
    assert (row.status, row.check_at) == ("VOIDED", None)


async def test_a_refused_order_is_remembered_as_failed(till: Till) -> None:
    till.simulator.fault("create", "refused")
    with pytest.raises(UpstreamFailed, match="COMPLIANCE_VIOLATION"):
        await till.order(key="once")
    (row,) = await till.rows()
    assert (row.status, row.check_at) == ("FAILED", None)
    assert await till.audit(row) == ["PAYMENT_FAILED"]
    again = await till.order(key="once")
    assert (again.id, again.status) == (row.id, "CREATED")


async def test_refused_credentials_are_no_refused_refund(till: Till) -> None:
    payment = await till.captured()
    till.simulator.fault("refund", "unauthorized", times=6)
    with pytest.raises(UpstreamFailed):
        await give_back(till, payment.capture_id)
    till.simulator.forget_faults()
    await till.settle()
    assert (await till.row(payment)).status == "REFUNDED"


async def test_a_refused_refund_may_be_asked_for_again(till: Till) -> None:
    payment = await till.captured()
    till.simulator.fault("refund", "refused")
    with pytest.raises(Conflict, match="COMPLIANCE_VIOLATION"):
        await give_back(till, payment.capture_id)
    assert (await give_back(till, payment.capture_id)).payment.status == "REFUNDED"
    await check_books(till)


async def test_an_order_whose_answer_was_lost_is_found_again(till: Till) -> None:
    till.simulator.fault("create", "lost_answer", times=3)
    with pytest.raises(UpstreamFailed):
        await till.order()
    (row,) = await till.rows()
    assert (row.status, row.order_id) == ("CREATING", None)
    till.simulator.forget_faults()
    await till.settle()
    (row,) = await till.rows()
    assert row.status == "CREATED" and row.order_id and row.approval_url


@pytest.mark.parametrize("kind", ["lost_answer", "error_after", "error", "lost_request"])
async def test_a_refund_that_was_not_answered_is_made_once(till: Till, kind: str) -> None:
    payment = await till.captured()
    till.simulator.fault("refund", kind, times=3)
    with pytest.raises(UpstreamFailed):
        await give_back(till, payment.capture_id, "7.50")
    till.simulator.forget_faults()
    with pytest.raises(Conflict, match=r"12\.50"):
        await give_back(till, payment.capture_id, "12.51")
    await till.settle()
    row = await till.row(payment)
    assert (row.status, f"{row.refunded:.2f}") == ("PARTIALLY_REFUNDED", "7.50")
    await check_books(till)


async def test_the_same_key_carries_a_refund_on(till: Till) -> None:
    """The answer was lost, PayPal has made it: the second click finds it, and asks for none."""
    payment = await till.captured()
    till.simulator.fault("refund", "lost_answer", times=3)
    with pytest.raises(UpstreamFailed, match="same Idempotency-Key"):
        await give_back(till, payment.capture_id, "7.50", key="click")
    till.simulator.forget_faults()
    till.simulator.fault("refund", "error", times=9)
    for _ in range(2):
        done = await give_back(till, payment.capture_id, "7.50", key="click")
        assert (done.line.status, done.line.minor) == ("COMPLETED", 750)
    till.simulator.forget_faults()
    assert f"{(await till.row(payment)).refunded:.2f}" == "7.50"
    with pytest.raises(Conflict):
        await give_back(till, payment.capture_id, "7.51", key="click")
    await check_books(till)


async def test_a_mismatch_is_logged_without_the_payer(till: Till) -> None:
    payment = await till.captured()
    seen = replace(
        read_order(await till.paypal.get_order(str(payment.order_id))),
        payer={"email": "payer@example.com", "payer_id": "PAYER77"}, custom_id="another",
    )  # fmt: skip
    with capture_logs() as lines, pytest.raises(UpstreamFailed):
        async with till.database.transaction() as session:
            await write_seen(session, payment.id, seen)
    (line,) = lines
    assert (line["event"], line["order"]) == ("payment.mismatch", payment.order_id)
    assert "payer@" not in repr([line, seen]) and "PAYER77" not in repr([line, seen])


async def test_refunds_at_once_never_exceed_the_payment(till: Till) -> None:
    payment = await till.captured()
    done = await asyncio.gather(
        *(give_back(till, payment.capture_id, "3.00") for _ in range(12)), return_exceptions=True
    )
    assert sum(isinstance(one, Refunded) for one in done) == 6
    assert all(isinstance(one, Refunded | Conflict) for one in done)
    last = await give_back(till, payment.capture_id)
    assert (last.line.minor, last.payment.status) == (200, "REFUNDED")
    await check_books(till)


async def test_a_pending_refund_and_one_made_at_paypal_come_into_the_books(till: Till) -> None:
    payment = await till.captured()
    till.simulator.fault("refund", "pending")
    waiting = await give_back(till, payment.capture_id, "5.00")
    assert (waiting.line.status, waiting.payment.status) == ("PENDING", "COMPLETED")
    by_hand = {"amount": {"currency_code": "EUR", "value": "4.00"}}
    till.simulator.post(f"/simulator/captures/{payment.capture_id}/refund", by_hand)
    await till.settle()
    row = await till.row(payment)
    assert (row.status, f"{row.refunded:.2f}") == ("PARTIALLY_REFUNDED", "4.00")
    with pytest.raises(Conflict, match=r"11\.00"):
        await give_back(till, payment.capture_id, "11.01")
    till.simulator.post(f"/simulator/refunds/{waiting.line.refund_id}/settle")
    await till.settle()
    row = await till.row(payment)
    assert f"{row.refunded:.2f}" == "9.00"
    await check_books(till)


async def test_a_refund_that_no_event_told_of_is_seen_one_day(till: Till) -> None:
    payment = await till.captured()
    assert payment.check_at is not None
    wait_s = (payment.check_at - payment.created_at).total_seconds()
    assert 0.9 * 86_400 < wait_s < 1.1 * 86_400
    till.simulator.post(f"/simulator/captures/{payment.capture_id}/refund")
    await till.settle(1)
    row = await till.row(payment)
    assert (row.status, row.check_at) == ("REFUNDED", None)
    await check_books(till)


async def test_a_caller_that_waits_too_long_is_told(till: Till) -> None:
    from db.payments import claim_capture
    from errors import Unavailable

    payment = await till.approved()
    async with till.database.transaction() as session:
        assert await claim_capture(session, payment.id, 30)
    with pytest.raises(Unavailable):
        await payments.capture(till.database, till.paypal, payment, wait_s=0.2)
    await till.make_due()
    assert (await till.capture(payment)).status == "COMPLETED"


def test_states_only_move_on() -> None:
    for status in STATES:
        later = STATES[STATES.index(status) :]
        assert not set(before(status)) & (set(later) - {"CREATED", "APPROVED"})
    for status in CAPTURED:
        assert not any(status in before(other) for other in STATES[: STATES.index(status)])
