"""Crashes at every await of create, capture and refund: afterwards the amounts agree."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from studio.payments.order_form import AmountForm, RefundForm
from studio.payments.refund_lines import read_lines
from studio.payments.refunds import refund
from tests.studio.payments.crashes import CRASHED, PaymentCall, run_calls
from tests.studio.payments.shop import Shop, compare, open_shop
from tests.support.simulator import Simulator

MAX_AWAITS = 200
"""No operation awaits more often; the test fails otherwise."""
OPERATIONS = ("create", "capture", "refund")


@pytest.fixture
async def shop(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Shop]:
    """A shop with a PayPal simulator of its own."""
    own = Simulator(tmp_path / "paypal")
    async with open_shop(database_url, redis_url, own) as opened:
        yield opened
    own.client.close()
    own.stop()


async def prepare(shop: Shop, operation: str, crash_at: int, urls: tuple[str, str]) -> PaymentCall:
    """A call with a payment of its own that is ready for the operation."""
    payment = None
    if operation == "capture":
        payment = await shop.approved()
    if operation == "refund":
        payment = await shop.captured()
    return PaymentCall(
        operation, crash_at, *urls, shop.simulator.account(), shop.user_id,
        payment.id if payment else None, f"{operation}-{crash_at}",
    )  # fmt: skip


async def crash_everywhere(shop: Shop, operation: str, urls: tuple[str, str], stride: int) -> int:
    """Crashes at every `stride`-th await, then settles and compares. Returns how often."""
    crash_at, crashes = 0, 0
    while crash_at < MAX_AWAITS:
        calls = [
            await prepare(shop, operation, crash_at + turn * stride, urls) for turn in range(8)
        ]
        codes = run_calls(calls)
        assert set(codes) <= {CRASHED, 0}, codes
        crashes += codes.count(CRASHED)
        crash_at += 8 * stride
        if 0 in codes:
            break
    assert 0 in codes, "the operation never ended"
    await shop.settle()
    compare(await shop.rows(), shop.simulator.orders())
    await finish(shop, operation, crashes)
    return crashes


async def finish(shop: Shop, operation: str, crashes: int) -> None:
    """Repeats the same calls: each has an effect once."""
    for row in await shop.rows():
        if operation == "create":
            assert row.idempotency_key
            again = await shop.order(key=row.idempotency_key)
            assert (again.id, again.status) == (row.id, "CREATED")
        if operation == "capture":
            assert (await shop.capture(row)).status == "COMPLETED"
        if operation == "refund":
            lines = read_lines(row.refunds)
            assert len(lines) <= 1
            key = next((line.key for line in lines.values() if line.key), "never begun")
            form = RefundForm(amount=AmountForm(value="7.00", currency="EUR"))
            done = await refund(
                shop.database, shop.paypal, str(row.capture_id), form, actor_id=shop.user_id,
                idempotency_key=key,
            )  # fmt: skip
            assert (done.line.minor, f"{done.payment.refunded:.2f}") == (700, "7.00")
    states = compare(await shop.rows(), shop.simulator.orders())
    expected = {"create": "CREATED", "capture": "COMPLETED", "refund": "PARTIALLY_REFUNDED"}
    assert set(states) == {expected[operation]} and states.total() >= crashes // 2


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_crashes_at_some_awaits(
    shop: Shop, database_url: str, redis_url: str, operation: str
) -> None:
    assert await crash_everywhere(shop, operation, (database_url, redis_url), stride=6) > 3


@pytest.mark.proof
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_crashes_at_each_await(
    shop: Shop, database_url: str, redis_url: str, operation: str
) -> None:
    count = await crash_everywhere(shop, operation, (database_url, redis_url), stride=1)
    print(f"\n{operation}: crashed at each of its {count} awaits")  # noqa: T201
