"""A PayPal client of the simulator."""

from collections.abc import AsyncIterator

import pytest

from integrations.paypal.paypal import PayPal
from tests.support.simulator import Simulator


@pytest.fixture
async def paypal(simulator: Simulator, redis_url: str) -> AsyncIterator[PayPal]:
    async with simulator.paypal(redis_url) as opened:
        yield opened
