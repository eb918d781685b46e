"""Health: the sum of the services, and checks that callers share."""

import asyncio
from typing import Any

import pytest

from studio.telemetry.health import SERVICES, ServiceHealth, SharedCheck, Status, sum_up


@pytest.mark.parametrize(
    ("changes", "status"),
    [({}, "ok"), ({"seg": "down"}, "degraded"), ({"db": "degraded"}, "degraded"),
     ({"db": "down"}, "down"), ({"rec": "down", "seg": "degraded"}, "down")],
)  # fmt: skip
def test_the_sum_of_all_services(changes: dict[str, Any], status: Status) -> None:
    services = {name: ServiceHealth(changes.get(name, "ok"), 1.0) for name in SERVICES}
    assert sum_up(services).status == status


async def test_callers_share_a_check_while_it_runs_and_is_fresh() -> None:
    calls = 0

    async def check() -> int:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.01)
        return calls

    shared = SharedCheck(check)
    assert await asyncio.gather(*(shared.check() for _ in range(20))) == [1] * 20
    assert await shared.check() == 1 == calls
