"""Killed at every await of create, capture and refund: after a restart the books agree."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from studio.payments.order_form import AmountForm, RefundForm
from studio.payments.refund_lines import read_lines
from studio.payments.refunds import refund
from tests.studio.killed import KILLED, Errand, send_out
from tests.studio.payments.till import Till, compare, open_till
from tests.support.simulator import Simulator

ENOUGH = 200
"""No deed waits more often; which is checked."""
DEEDS = ("create", "capture", "refund")


@pytest.fixture
async def till(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Till]:
    """With a simulator of its own: its books hold nothing else."""
    own = Simulator(tmp_path / "paypal")
    async with open_till(database_url, redis_url, own) as opened:
        yield opened
    own.client.close()
    own.stop()


async def prepare(till: Till, deed: str, point: int, urls: tuple[str, str]) -> Errand:
    """A payment of this errand's own, ready for the deed."""
    payment = None
    if deed == "capture":
        payment = await till.approved()
    if deed == "refund":
        payment = await till.captured()
    return Errand(
        deed, point, *urls, till.simulator.account(), till.user_id,
        payment.id if payment else None, f"{deed}-{point}",
    )  # fmt: skip


async def hunt(till: Till, deed: str, urls: tuple[str, str], stride: int) -> int:
    """Kills at every point (or every so many), then heals and compares; how many points."""
    point, killed = 0, 0
    while point < ENOUGH:
        errands = [await prepare(till, deed, point + turn * stride, urls) for turn in range(8)]
        codes = send_out(errands)
        assert set(codes) <= {KILLED, 0}, codes
        killed += codes.count(KILLED)
        point += 8 * stride
        if 0 in codes:
            break
    assert 0 in codes, "the deed never came to its end"
    await till.settle()
    compare(await till.rows(), till.simulator.orders())
    await finish(till, deed, killed)
    return killed


async def finish(till: Till, deed: str, killed: int) -> None:
    """The caller comes back and asks the same again: done, and once."""
    for row in await till.rows():
        if deed == "create":
            assert row.idempotency_key
            again = await till.order(key=row.idempotency_key)
            assert (again.id, again.status) == (row.id, "CREATED")
        if deed == "capture":
            assert (await till.capture(row)).status == "COMPLETED"
        if deed == "refund":
            lines = read_lines(row.refunds)
            assert len(lines) <= 1
            key = next((line.key for line in lines.values() if line.key), "never begun")
            form = RefundForm(amount=AmountForm(value="7.00", currency="EUR"))
            done = await refund(
                till.database, till.paypal, str(row.capture_id), form, actor_id=till.user_id,
                idempotency_key=key,
            )  # fmt: skip
            assert (done.line.minor, f"{done.payment.refunded:.2f}") == (700, "7.00")
    statuses = compare(await till.rows(), till.simulator.orders())
    expected = {"create": "CREATED", "capture": "COMPLETED", "refund": "PARTIALLY_REFUNDED"}
    assert set(statuses) == {expected[deed]} and statuses.total() >= killed // 2


@pytest.mark.parametrize("deed", DEEDS)
async def test_killed_here_and_there(
    till: Till, database_url: str, redis_url: str, deed: str
) -> None:
    assert await hunt(till, deed, (database_url, redis_url), stride=6) > 3


@pytest.mark.proof
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("deed", DEEDS)
async def test_killed_at_each_await(
    till: Till, database_url: str, redis_url: str, deed: str
) -> None:
    points = await hunt(till, deed, (database_url, redis_url), stride=1)
    print(f"\n{deed}: killed at each of its {points} awaits")  # noqa: T201
