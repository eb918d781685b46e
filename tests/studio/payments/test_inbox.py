"""The inbox: forged events leave nothing."""

import json

import pytest
from sqlmodel import select

from db.tables import AuditLog
from errors import Malformed
from tests.studio.payments.shop import Shop


async def test_forged_events_leave_nothing_to_apply(shop: Shop) -> None:
    payment = await shop.approved()
    headers, body = shop.simulator.webhooks(shop.simulator.event_count() - 1)[0]
    event = json.loads(body)
    event["id"] = "WH-OTHER"
    forged = [
        (headers, body.replace(b"APPROVED", b"COMPLETE")),
        (headers, json.dumps(event).encode()),
        (headers | {"PayPal-Transmission-Id": "other"}, body),
        (headers | {"PayPal-Cert-Url": "https://evil.example/v1/notifications/certs/C"}, body),
        (headers | {"PayPal-Transmission-Sig": "AAAA"}, body),
        ({}, body),
    ]
    for transmission in forged:
        with pytest.raises(Malformed, match="not a webhook of PayPal's"):
            await shop.receive(transmission)
    assert await shop.events() == []
    assert (await shop.row(payment)).status == "CREATED"
    async with shop.database.read() as session:
        lines = (await session.exec(select(AuditLog.action))).all()
    assert "WEBHOOK_REFUSED" not in lines  # anybody may send these: they are counted
    assert shop.inbox.refused == len(forged)
