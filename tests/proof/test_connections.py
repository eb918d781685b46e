"""`make proof`: a thousand slow connections for a minute, beside ordinary callers."""

import asyncio
import time

import pytest

from tests.acceptance.test_recovery import replica
from tests.support.cluster import WholeStudio
from tests.support.holding import hold, memory_of

pytestmark = [pytest.mark.proof, pytest.mark.timeout(600)]

CONNECTIONS = 1000
DURATION_S = 60.0
HEALTH_LIMIT_S = 1.0
GROWTH = 1.10


def test_a_thousand_slow_callers_for_a_minute(whole_studio: WholeStudio) -> None:
    asyncio.run(hold(whole_studio.url, CONNECTIONS, 15))  # pools and caches have their size then
    time.sleep(5)
    gateway = replica(whole_studio, "Gateway")
    before = memory_of(whole_studio.processes()), memory_of([gateway]), gateway.num_fds()
    outcome = asyncio.run(hold(whole_studio.url, CONNECTIONS, DURATION_S))
    during = memory_of([gateway])
    time.sleep(10)
    after = memory_of(whole_studio.processes()), memory_of([gateway]), gateway.num_fds()
    waited_s = sorted(outcome.health_s)
    print(  # noqa: T201
        f"\n{outcome.open_at_most} connections at once ({dict(outcome.kinds)}); health asked "
        f"{len(waited_s)} times: median {waited_s[len(waited_s) // 2] * 1000:.0f} ms, longest "
        f"{waited_s[-1] * 1000:.0f} ms; health {dict(outcome.health)}, "
        f"searches {dict(outcome.statuses)}\nmemory of all "
        f"{before[0] / 1e6:.0f} -> {after[0] / 1e6:.0f} MB; of the Gateway {before[1] / 1e6:.0f}, "
        f"{during / 1e6:.0f} meanwhile, {after[1] / 1e6:.0f} MB; its open files "
        f"{before[2]} -> {after[2]}"
    )
    assert outcome.open_at_most >= CONNECTIONS * 0.95
    assert set(outcome.statuses) == set(outcome.health) == {200}
    assert after[0] <= before[0] * GROWTH and after[1] <= before[1] * GROWTH
    assert waited_s[-1] <= HEALTH_LIMIT_S
