"""Orders: a refused one is stored, and can be created again with its key."""

import pytest

from errors import UpstreamFailed
from tests.studio.payments.shop import Shop


async def test_a_refused_order_is_remembered_as_failed(shop: Shop) -> None:
    shop.simulator.fault("create", "refused")
    with pytest.raises(UpstreamFailed, match="COMPLIANCE_VIOLATION"):
        await shop.order(key="once")
    (row,) = await shop.rows()
    assert (row.status, row.check_at) == ("FAILED", None)
    assert await shop.audit(row) == ["PAYMENT_FAILED"]
    again = await shop.order(key="once")
    assert (again.id, again.status) == (row.id, "CREATED")
