"""A shop on real servers, with the PayPal simulator."""

from collections.abc import AsyncIterator

import pytest

from tests.studio.payments.shop import Shop, open_shop
from tests.support.simulator import Simulator


@pytest.fixture
async def shop(database_url: str, redis_url: str, simulator: Simulator) -> AsyncIterator[Shop]:
    async with open_shop(database_url, redis_url, simulator, pool_size=20) as opened:
        yield opened
