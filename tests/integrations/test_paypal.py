"""PayPal's client: a call is one, however often it is sent; tokens are shared and renewed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from errors import UpstreamFailed
from integrations.paypal.paypal import PayPal, Refusal
from tests.support.simulator import CANCEL_URL, RETURN_URL, Simulator


@pytest.fixture
async def paypal(simulator: Simulator, redis_url: str) -> AsyncIterator[PayPal]:
    async with simulator.paypal(redis_url) as opened:
        yield opened


def body(value: str = "12.00", currency: str = "EUR") -> dict[str, Any]:
    context = {"return_url": RETURN_URL, "cancel_url": CANCEL_URL}
    unit = {"amount": {"currency_code": currency, "value": value}, "custom_id": str(uuid4())}
    return {
        "intent": "CAPTURE", "purchase_units": [unit],
        "payment_source": {"paypal": {"experience_context": context}},
    }  # fmt: skip


async def approved(paypal: PayPal, simulator: Simulator) -> str:
    order = await paypal.create_order(body(), request_id=str(uuid4()))
    simulator.approve(order["id"])
    return str(order["id"])


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


async def test_replicas_share_one_token_which_the_cache_keeps_sealed(
    simulator: Simulator, redis_url: str
) -> None:
    simulator.app.state.paypal.tokens.clear()
    async with AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(simulator.paypal(redis_url)) for _ in range(4)]
        await replicas[0].create_order(body(), request_id=str(uuid4()))
        await asyncio.gather(
            *(one.create_order(body(), request_id=str(uuid4())) for one in replicas * 5)
        )
    (token,) = simulator.app.state.paypal.tokens
    client = Redis.from_url(redis_url)
    (key,) = await client.keys("studio:paypal:token:*")
    kept = await client.get(key)
    assert kept and token.encode() not in kept
    await client.aclose()


async def test_a_token_that_is_no_longer_taken_is_fetched_again(
    paypal: PayPal, simulator: Simulator
) -> None:
    order_id = await approved(paypal, simulator)
    simulator.app.state.paypal.tokens.clear()
    orders = await asyncio.gather(*(paypal.get_order(order_id) for _ in range(10)))
    assert {order["id"] for order in orders} == {order_id}
    simulator.fault("get", "unauthorized")
    assert (await paypal.get_order(order_id))["id"] == order_id


async def test_a_token_is_fetched_before_it_ends(paypal: PayPal, simulator: Simulator) -> None:
    order_id = await approved(paypal, simulator)
    first = paypal._client.token["access_token"]
    paypal._client.token["expires_at"] -= 32_400 - 200  # 200 s are left
    await paypal._token._cache.delete(paypal._token._key)
    await paypal.get_order(order_id)
    assert paypal._client.token["access_token"] != first


async def test_without_the_cache_it_only_takes_longer(simulator: Simulator) -> None:
    async with simulator.paypal("redis://127.0.0.1:1/0") as paypal:
        assert await approved(paypal, simulator)


async def test_wrong_credentials_are_told(simulator: Simulator, redis_url: str) -> None:
    async with simulator.paypal(redis_url, client_secret="wrong") as paypal:
        with pytest.raises(UpstreamFailed, match="credentials"):
            await paypal.get_order("ANY")


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
