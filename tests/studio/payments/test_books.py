"""What PayPal reports is compared with the payment before it is written."""

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from errors import UpstreamFailed
from studio.payments.books import write_order
from studio.payments.paypal_documents import read_order
from tests.studio.payments.shop import Shop


async def test_a_mismatch_is_logged_without_the_payer(shop: Shop) -> None:
    payment = await shop.captured()
    order = replace(
        read_order(await shop.paypal.get_order(str(payment.order_id))),
        payer={"email": "payer@example.com", "payer_id": "PAYER77"}, custom_id="another",
    )  # fmt: skip
    with capture_logs() as records, pytest.raises(UpstreamFailed):
        async with shop.database.transaction() as session:
            await write_order(session, payment.id, order)
    (line,) = records
    assert (line["event"], line["order"]) == ("payment.mismatch", payment.order_id)
    assert "payer@" not in repr([line, order]) and "PAYER77" not in repr([line, order])
