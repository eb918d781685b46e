"""Events: stored once, applied once, in any order, from the row; forged ones leave nothing."""

import json
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import select

from db.payments import insert_event
from db.tables import AuditLog
from errors import Malformed
from studio.payments.order_form import AmountForm, RefundForm
from studio.payments.refunds import refund
from studio.payments.webhooks import names_in, read_event
from tests.studio.payments.till import Till, compare, open_till
from tests.support.simulator import Simulator

REFUSE_ONE = """
DO $$ BEGIN
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN RAISE EXCEPTION ''not this one''; END';
    CREATE TRIGGER refuse_one BEFORE UPDATE ON webhook_event FOR EACH ROW
        WHEN (NEW.event_id = '{event_id}' AND NEW.applied_at IS NOT NULL)
        EXECUTE FUNCTION refuse();
END $$
"""


@pytest.fixture
async def till(database_url: str, redis_url: str, simulator: Simulator) -> AsyncIterator[Till]:
    async with open_till(database_url, redis_url, simulator) as opened:
        yield opened


async def some_business(till: Till, orders: int) -> None:
    """Orders that end in every way, of which the studio hears nothing but by its own calls."""
    for turn in range(orders):
        payment = await till.approved(f"{turn + 10}.00")
        order_id = str(payment.order_id)
        if turn % 5 == 0:
            continue
        if turn % 5 == 1:
            till.simulator.fault("capture", "pending")
        order = await till.paypal.capture_order(order_id, request_id=f"{payment.id}-capture-1")
        (capture,) = order["purchase_units"][0]["payments"]["captures"]
        if turn % 5 == 1:
            status = "COMPLETED" if turn % 2 else "DECLINED"
            till.simulator.post(f"/simulator/captures/{capture['id']}/settle", {"status": status})
        if turn % 5 in (3, 4):
            for _ in range(turn % 5 - 2):
                part = {"amount": {"currency_code": "EUR", "value": "5.00"}}
                till.simulator.post(f"/simulator/captures/{capture['id']}/refund", part)


def state_of(rows: list[Any]) -> list[Any]:
    """What must not depend on the order of events."""
    return [
        (row.order_id, row.capture_id, row.status, row.refunded,
         sorted(row.refunds), row.payload.get("payer"))
        for row in rows
    ]  # fmt: skip


async def hear(till: Till, transmissions: list[tuple[dict[str, str], bytes]]) -> int:
    """How many were new."""
    new = 0
    for transmission in transmissions:
        new += await till.receive(transmission)
    await till.inbox.settled()
    await till.settle(1)
    return new


async def deliver(till: Till, events: int, orders: int, seed: int) -> None:
    """The same business heard in order, and heard with duplicates in random order."""
    begun = till.simulator.event_count()
    await some_business(till, orders)
    heard = till.simulator.webhooks(begun)
    rng = random.Random(seed)
    mixed = list(heard)
    while len(mixed) < events:
        mixed.append(rng.choice(heard))
    rng.shuffle(mixed)
    assert await hear(till, mixed) == len(heard)
    assert all(event.applied_at and event.attempts == 0 for event in await till.events())
    mixed_state = state_of(await till.rows())
    compare(await till.rows(), till.simulator.orders([row[0] for row in mixed_state]))
    from sqlalchemy import text

    async with till.database.transaction() as session:
        for statement in (
            "UPDATE payment SET status = 'CREATED', capture_id = NULL, refunded = 0,"
            " refunds = '{}', payload = payload - 'payer'",
            "DELETE FROM webhook_event",
        ):
            await session.exec(text(statement))  # type: ignore[call-overload]
    assert await hear(till, heard) == len(heard)
    assert state_of(await till.rows()) == mixed_state


async def test_events_in_any_order_with_duplicates_end_the_same(till: Till) -> None:
    await deliver(till, events=150, orders=15, seed=7)


@pytest.mark.proof
async def test_a_thousand_events_end_the_same(till: Till) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"\nwebhooks: seed {seed}")  # noqa: T201
    await deliver(till, events=1000, orders=100, seed=seed)


async def test_an_event_that_can_not_be_applied_now_is_applied_later(till: Till) -> None:
    payment = await till.order()
    begun = till.simulator.event_count()
    till.simulator.approve(str(payment.order_id))
    till.simulator.fault("get", "error", times=3)
    (transmission,) = till.simulator.webhooks(begun)
    assert await till.receive(transmission)
    await till.inbox.settled()
    (event,) = await till.events()
    assert event.applied_at is None and "500" in str(event.error)
    assert (await till.row(payment)).status == "CREATED"
    await till.settle(1)
    (event,) = await till.events()
    assert event.applied_at is not None and event.error is None
    assert (await till.row(payment)).status == "APPROVED"


async def test_an_event_whose_process_died_is_swept_up(till: Till) -> None:
    from studio.payments.webhooks import read_event, store_event

    payment = await till.order()
    begun = till.simulator.event_count()
    till.simulator.approve(str(payment.order_id))
    ((_, body),) = till.simulator.webhooks(begun)
    assert await store_event(till.database, read_event(json.loads(body)))
    await till.settle(1)
    assert (await till.row(payment)).status == "APPROVED"


async def test_forged_events_leave_nothing_to_apply(till: Till) -> None:
    payment = await till.approved()
    headers, body = till.simulator.webhooks(till.simulator.event_count() - 1)[0]
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
        with pytest.raises(Malformed, match="no webhook of PayPal's"):
            await till.receive(transmission)
    assert await till.events() == []
    assert (await till.row(payment)).status == "CREATED"
    async with till.database.read() as session:
        lines = (await session.exec(select(AuditLog.action))).all()
    assert "WEBHOOK_REFUSED" not in lines  # anybody may send these: they are counted
    assert till.inbox.refused == len(forged)


async def test_a_lie_in_a_signed_body_moves_no_money(till: Till) -> None:
    """What is signed holds only a CRC32: such a body can be made. The order is looked at again."""
    payment = await till.approved()
    state = till.simulator.app.state.paypal
    lie = {
        "id": "WH-LIE", "event_type": "PAYMENT.CAPTURE.COMPLETED",
        "resource": {
            "id": "CAPTURE", "status": "COMPLETED", "custom_id": str(payment.id),
            "amount": {"currency_code": "EUR", "value": "20.00"},
        },
    }  # fmt: skip
    body = json.dumps(lie).encode()
    assert await till.receive((state.delivery.sign(body), body))
    await till.inbox.settled()
    row = await till.row(payment)
    assert (row.status, row.capture_id) == ("APPROVED", None)


async def test_events_of_others_and_disputes_are_noted(till: Till) -> None:
    payment = await till.captured()
    sign = till.simulator.app.state.paypal.delivery.sign
    bodies = [
        {"id": "WH-A", "event_type": "BILLING.PLAN.CREATED", "resource": {}},
        {"id": "WH-B", "event_type": "PAYMENT.CAPTURE.COMPLETED", "resource": {"id": "NOT-OURS"}},
        {"id": "WH-C", "event_type": "PAYMENT.CAPTURE.COMPLETED", "resource": ["odd"]},
        {"id": "WH-D", "event_type": "CUSTOMER.DISPUTE.CREATED", "resource": {
            "dispute_id": "PP-D-1", "reason": "MERCHANDISE_OR_SERVICE_NOT_RECEIVED",
            "disputed_transactions": [{"seller_transaction_id": payment.capture_id}],
        }},
    ]  # fmt: skip
    for body in bodies:
        raw = json.dumps(body).encode()
        assert await till.receive((sign(raw), raw))
    await till.inbox.settled()
    remarks = {event.event_id: event.error for event in await till.events()}
    assert remarks == {
        "WH-A": "nothing follows from it", "WH-B": "no payment of ours",
        "WH-C": "no payment of ours", "WH-D": None,
    }  # fmt: skip
    assert (await till.audit(payment))[-1] == "PAYMENT_DISPUTED"
    for body in ({"event_type": "X"}, {"id": 7, "event_type": "X"}, [], "text"):
        raw = json.dumps(body).encode()
        with pytest.raises(Malformed):
            await till.receive((sign(raw), raw))


async def test_an_event_that_the_database_refuses_holds_up_no_other(till: Till) -> None:
    await some_business(till, 6)
    heard = till.simulator.webhooks(0)
    refused = json.loads(heard[0][1])["id"]
    async with till.database.transaction() as session:
        for headers, body in heard:
            del headers
            await insert_event(session, read_event(json.loads(body)), 0)
        await session.exec(text(REFUSE_ONE.format(event_id=refused)))  # type: ignore[call-overload]
    await till.settle(1)
    waiting = [event.event_id for event in await till.events() if event.applied_at is None]
    assert waiting == [refused]
    (left,) = [event for event in await till.events() if event.event_id == refused]
    assert left.error == "the database refused it"


async def test_a_refund_event_finds_its_payment_by_the_capture_above(till: Till) -> None:
    payment = await till.captured()
    begun = till.simulator.event_count()
    form = RefundForm(amount=AmountForm(value="1.00", currency="EUR"))
    await refund(
        till.database, till.paypal, str(payment.capture_id), form, actor_id=till.user_id,
        idempotency_key="once",
    )  # fmt: skip
    ((_, body),) = till.simulator.webhooks(begun)
    assert names_in(json.loads(body))["capture"] == payment.capture_id


async def test_the_simulator_delivers_until_it_is_heard(tmp_path: Any, redis_url: str) -> None:
    """Over real HTTP: refused at first, then taken, each event until it is."""
    import asyncio
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    heard: list[bytes] = []

    class Ear(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(503 if len(heard) == 1 else 200)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Ear)
    thread = Thread(target=server.serve_forever)
    thread.start()
    own = Simulator(tmp_path / "p", f"http://127.0.0.1:{server.server_port}/api/paypal/webhook")
    try:
        async with own.paypal(redis_url) as paypal:
            from tests.integrations.test_paypal import approved

            await approved(paypal, own)
        for _ in range(100):
            if len(heard) == 2:
                break
            await asyncio.sleep(0.05)
        assert heard[0] == heard[1] and b"CHECKOUT.ORDER.APPROVED" in heard[0]
        await asyncio.sleep(0.5)
        assert len(heard) == 2
    finally:
        own.client.close()
        own.stop()
        server.shutdown()
        thread.join()
        server.server_close()
