"""PayPal's access token: shared by replicas, renewed, and encrypted in the cache."""

import asyncio
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from errors import UpstreamFailed
from integrations.paypal.paypal import PayPal
from tests.integrations.paypal.orders import approved, body
from tests.support.simulator import CREDENTIALS, Simulator


async def test_replicas_share_one_token_which_the_cache_keeps_sealed(
    simulator: Simulator, redis_url: str
) -> None:
    simulator.app.state.paypal.tokens.clear()
    async with AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(simulator.paypal(redis_url)) for _ in range(4)]
        await replicas[0].create_order(body(), request_id=str(uuid4()))
        await asyncio.gather(
            *(replica.create_order(body(), request_id=str(uuid4())) for replica in replicas * 5)
        )
    (token,) = simulator.app.state.paypal.tokens
    client = Redis.from_url(redis_url)
    (key,) = await client.keys("studio:paypal:token:*")
    stored = await client.get(key)
    assert stored and token.encode() not in stored
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
    async with simulator.paypal(redis_url, client_secret=lambda: "wrong") as paypal:
        with pytest.raises(UpstreamFailed, match="credentials"):
            await paypal.get_order("ANY")


async def test_new_credentials_are_used_without_a_restart(
    simulator: Simulator, redis_url: str
) -> None:
    secrets = ["wrong"]
    async with simulator.paypal(redis_url, client_secret=lambda: secrets[-1]) as paypal:
        with pytest.raises(UpstreamFailed, match="credentials"):
            await paypal.get_order("ANY")
        secrets.append(CREDENTIALS["paypal_client_secret"])
        assert await approved(paypal, simulator)
