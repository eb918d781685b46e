"""PayPal's client: a repeated call has one effect."""

from pathlib import Path
from uuid import uuid4

import pytest

from errors import UpstreamFailed
from integrations.paypal.paypal import PayPal, Refusal
from tests.integrations.paypal.orders import approved, body
from tests.support.simulator import Simulator


@pytest.mark.parametrize("kind", ["lost_request", "lost_answer", "error", "error_after", "busy"])
@pytest.mark.parametrize("call", ["create", "capture", "refund"])
async def test_a_retry_is_the_same_call(
    paypal: PayPal, simulator: Simulator, call: str, kind: str
) -> None:
    simulator.fault(call, kind, times=2)
    before = len(simulator.orders())
    order_id = await approved(paypal, simulator)
    order = await paypal.capture_order(order_id, request_id=f"{order_id}-capture")
    (capture,) = order["purchase_units"][0]["payments"]["captures"]
    part = {"amount": {"currency_code": "EUR", "value": "5.00"}}
    await paypal.refund_capture(capture["id"], part, request_id=f"{order_id}-refund")
    assert len(simulator.orders()) == before + 1
    payments = simulator.order(order_id)["purchase_units"][0]["payments"]
    assert len(payments["captures"]) == len(payments["refunds"]) == 1
    assert (
        simulator.app.state.paypal.script.waiting
        == type(simulator.app.state.paypal.script.waiting)()
    )


async def test_a_long_silence_is_an_upstream_failure(simulator: Simulator, redis_url: str) -> None:
    async with simulator.paypal(redis_url, read_s=0.05) as paypal:
        order_id = await approved(paypal, simulator)
        simulator.fault("capture", "slow", times=3, seconds=0.3)
        with pytest.raises(UpstreamFailed, match="can't be reached"):
            await paypal.capture_order(order_id, request_id="slow")
        assert len(simulator.captures(order_id)) == 1


async def test_a_refusal_names_its_issue_and_is_not_repeated(
    paypal: PayPal, simulator: Simulator
) -> None:
    order = await paypal.create_order(body(), request_id=str(uuid4()))
    with pytest.raises(Refusal) as caught:
        await paypal.capture_order(order["id"], request_id="early")
    assert caught.value.issue == "ORDER_NOT_APPROVED"
    for value, currency, issue in (
        ("1.00", "JPY", "DECIMALS_NOT_SUPPORTED"),
        ("0", "EUR", "CANNOT_BE_ZERO_OR_NEGATIVE"),
        ("1.00", "XTS", "INVALID_CURRENCY_CODE"),
    ):
        with pytest.raises(Refusal, match=issue):
            await paypal.create_order(body(value, currency), request_id=str(uuid4()))
    with pytest.raises(Refusal, match="DUPLICATE_REQUEST_ID"):
        for value in ("1.00", "2.00"):
            await paypal.create_order(body(value), request_id="one-id")


async def test_a_restarted_simulator_knows_its_books(tmp_path: Path, redis_url: str) -> None:
    own = Simulator(tmp_path / "paypal")
    async with own.paypal(redis_url) as paypal:
        order_id = await approved(paypal, own)
        order = await paypal.capture_order(order_id, request_id="x")
        own.stop()
        with pytest.raises(UpstreamFailed):
            await paypal.get_order(order_id)
        own.start()
        again = await paypal.capture_order(order_id, request_id="x")
        assert again["purchase_units"] == order["purchase_units"]
    own.client.close()
    own.stop()
