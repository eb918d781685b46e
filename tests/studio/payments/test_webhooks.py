"""Events: stored once, applied once, in any order, from the row."""

import json
import random
from typing import Any

import pytest
from sqlalchemy import text

from db.payments import insert_event
from errors import Malformed
from studio.payments.order_form import AmountForm, RefundForm
from studio.payments.refunds import refund
from studio.payments.webhooks import NOT_OURS, read_event, read_ids, store_event
from tests.studio.payments.shop import Shop, compare
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


async def some_business(shop: Shop, orders: int) -> None:
    """Creates orders that end in every possible way, without any event so far."""
    for turn in range(orders):
        payment = await shop.approved(f"{turn + 10}.00")
        order_id = str(payment.order_id)
        if turn % 5 == 0:
            continue
        if turn % 5 == 1:
            shop.simulator.fault("capture", "pending")
        order = await shop.paypal.capture_order(order_id, request_id=f"{payment.id}-capture-1")
        (capture,) = order["purchase_units"][0]["payments"]["captures"]
        if turn % 5 == 1:
            status = "COMPLETED" if turn % 2 else "DECLINED"
            shop.simulator.post(f"/simulator/captures/{capture['id']}/settle", {"status": status})
        if turn % 5 in (3, 4):
            for _ in range(turn % 5 - 2):
                part = {"amount": {"currency_code": "EUR", "value": "5.00"}}
                shop.simulator.post(f"/simulator/captures/{capture['id']}/refund", part)


def state_of(rows: list[Any]) -> list[Any]:
    """The part of the rows that must not depend on the order of events."""
    return [
        (row.order_id, row.capture_id, row.status, row.refunded,
         sorted(row.refunds), row.payload.get("payer"))
        for row in rows
    ]  # fmt: skip


async def receive_all(shop: Shop, transmissions: list[tuple[dict[str, str], bytes]]) -> int:
    """Receives and settles the events. Returns how many were new."""
    new = 0
    for transmission in transmissions:
        new += await shop.receive(transmission)
    await shop.inbox.settled()
    await shop.settle(1)
    return new


async def deliver(shop: Shop, events: int, orders: int, seed: int) -> None:
    """Applies the same events in order, and with duplicates in random order."""
    first_event = shop.simulator.event_count()
    await some_business(shop, orders)
    transmissions = shop.simulator.webhooks(first_event)
    rng = random.Random(seed)
    mixed = list(transmissions)
    while len(mixed) < events:
        mixed.append(rng.choice(transmissions))
    rng.shuffle(mixed)
    assert await receive_all(shop, mixed) == len(transmissions)
    assert all(event.applied_at and event.attempts == 0 for event in await shop.events())
    mixed_state = state_of(await shop.rows())
    compare(await shop.rows(), shop.simulator.orders([row[0] for row in mixed_state]))
    async with shop.database.transaction() as session:
        for statement in (
            "UPDATE payment SET status = 'CREATED', capture_id = NULL, refunded = 0,"
            " refunds = '{}', payload = payload - 'payer'",
            "DELETE FROM webhook_event",
        ):
            await session.exec(text(statement))  # type: ignore[call-overload]
    assert await receive_all(shop, transmissions) == len(transmissions)
    assert state_of(await shop.rows()) == mixed_state


# Slow: 150 signed events are delivered over HTTP.
async def test_events_in_any_order_with_duplicates_end_the_same(shop: Shop) -> None:
    await deliver(shop, events=150, orders=15, seed=7)


@pytest.mark.proof
async def test_a_thousand_events_end_the_same(shop: Shop) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"\nwebhooks: seed {seed}")  # noqa: T201
    await deliver(shop, events=1000, orders=100, seed=seed)


async def test_an_event_that_can_not_be_applied_now_is_applied_later(shop: Shop) -> None:
    payment = await shop.order()
    first_event = shop.simulator.event_count()
    shop.simulator.approve(str(payment.order_id))
    shop.simulator.fault("get", "error", times=3)
    (transmission,) = shop.simulator.webhooks(first_event)
    assert await shop.receive(transmission)
    await shop.inbox.settled()
    (event,) = await shop.events()
    assert event.applied_at is None and "500" in str(event.error)
    assert (await shop.row(payment)).status == "CREATED"
    await shop.settle(1)
    (event,) = await shop.events()
    assert event.applied_at is not None and event.error is None
    assert (await shop.row(payment)).status == "APPROVED"


async def test_an_event_whose_process_died_is_swept_up(shop: Shop) -> None:
    payment = await shop.order()
    first_event = shop.simulator.event_count()
    shop.simulator.approve(str(payment.order_id))
    ((_, body),) = shop.simulator.webhooks(first_event)
    assert await store_event(shop.database, read_event(json.loads(body)))
    await shop.settle(1)
    assert (await shop.row(payment)).status == "APPROVED"


async def test_a_lie_in_a_signed_body_moves_no_money(shop: Shop) -> None:
    """The signed text has only a CRC32 of the body, so it can be forged; PayPal is asked."""
    payment = await shop.approved()
    state = shop.simulator.app.state.paypal
    lie = {
        "id": "WH-LIE", "event_type": "PAYMENT.CAPTURE.COMPLETED",
        "resource": {
            "id": "CAPTURE", "status": "COMPLETED", "custom_id": str(payment.id),
            "amount": {"currency_code": "EUR", "value": "20.00"},
        },
    }  # fmt: skip
    body = json.dumps(lie).encode()
    assert await shop.receive((state.delivery.sign(body), body))
    await shop.inbox.settled()
    row = await shop.row(payment)
    assert (row.status, row.capture_id) == ("APPROVED", None)


async def test_events_of_others_and_disputes_are_noted(shop: Shop) -> None:
    payment = await shop.captured()
    sign = shop.simulator.app.state.paypal.delivery.sign
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
        assert await shop.receive((sign(raw), raw))
    await shop.inbox.settled()
    remarks = {event.event_id: event.error for event in await shop.events()}
    assert remarks == {
        "WH-A": "this type of event is not used", "WH-B": NOT_OURS,
        "WH-C": NOT_OURS, "WH-D": None,
    }  # fmt: skip
    assert (await shop.audit(payment))[-1] == "PAYMENT_DISPUTED"
    for body in ({"event_type": "X"}, {"id": 7, "event_type": "X"}, [], "text"):
        raw = json.dumps(body).encode()
        with pytest.raises(Malformed):
            await shop.receive((sign(raw), raw))


async def test_an_event_that_the_database_refuses_holds_up_no_other(shop: Shop) -> None:
    await some_business(shop, 6)
    transmissions = shop.simulator.webhooks(0)
    refused = json.loads(transmissions[0][1])["id"]
    async with shop.database.transaction() as session:
        for headers, body in transmissions:
            del headers
            await insert_event(session, read_event(json.loads(body)), 0)
        await session.exec(text(REFUSE_ONE.format(event_id=refused)))  # type: ignore[call-overload]
    await shop.settle(1)
    waiting = [event.event_id for event in await shop.events() if event.applied_at is None]
    assert waiting == [refused]
    (left,) = [event for event in await shop.events() if event.event_id == refused]
    assert left.error == "the database refused it"


async def test_a_refund_event_finds_its_payment_by_the_capture_above(shop: Shop) -> None:
    payment = await shop.captured()
    first_event = shop.simulator.event_count()
    form = RefundForm(amount=AmountForm(value="1.00", currency="EUR"))
    await refund(
        shop.database, shop.paypal, str(payment.capture_id), form, actor_id=shop.user_id,
        idempotency_key="once",
    )  # fmt: skip
    ((_, body),) = shop.simulator.webhooks(first_event)
    assert read_ids(json.loads(body))["capture"] == payment.capture_id


async def test_the_simulator_delivers_until_it_is_heard(tmp_path: Any, redis_url: str) -> None:
    """Over real HTTP: refused at first, then accepted; each event is sent until it is accepted."""
    import asyncio
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    bodies: list[bytes] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(503 if len(bodies) == 1 else 200)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = Thread(target=server.serve_forever)
    thread.start()
    own = Simulator(tmp_path / "p", f"http://127.0.0.1:{server.server_port}/api/paypal/webhook")
    try:
        async with own.paypal(redis_url) as paypal:
            from tests.integrations.paypal.orders import approved

            await approved(paypal, own)
        for _ in range(100):
            if len(bodies) == 2:
                break
            await asyncio.sleep(0.05)
        assert bodies[0] == bodies[1] and b"CHECKOUT.ORDER.APPROVED" in bodies[0]
        await asyncio.sleep(0.5)
        assert len(bodies) == 2
    finally:
        own.client.close()
        own.stop()
        server.shutdown()
        thread.join()
        server.server_close()
