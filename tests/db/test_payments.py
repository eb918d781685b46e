"""Changes of a payment's row are guarded by its status."""

from decimal import Decimal
from uuid import uuid4

import pytest

from db.engine import Database
from db.payments import (
    claim_capture,
    claim_due_payments,
    finish_event,
    get_payment,
    get_payment_by_key,
    get_payment_by_paypal_id,
    insert_event,
    insert_payment,
    list_payments,
    move_payment,
    set_next_check,
    update_payment,
)
from db.tables import Payment, User, WebhookEvent


@pytest.fixture
async def payment(database: Database) -> Payment:
    user = User(email="a@example.com", password_hash="x")
    async with database.transaction() as session:
        session.add(user)
    new = Payment(
        id=uuid4(), user_id=user.id, status="CREATED", amount=Decimal("20.00"), currency="EUR",
        order_id="ORDER", idempotency_key="key", request_id="r",
    )  # fmt: skip
    async with database.transaction() as session:
        return await insert_payment(session, new, 60)


async def test_a_key_stands_for_one_payment(database: Database, payment: Payment) -> None:
    async with database.transaction() as session:
        again = Payment(
            id=uuid4(), user_id=payment.user_id, status="CREATING", amount=Decimal(1),
            currency="EUR", idempotency_key="key", request_id="r",
        )  # fmt: skip
        assert (await insert_payment(session, again, 60)).id == payment.id
        for row in (
            await get_payment_by_key(session, payment.user_id, "key"),
            await get_payment_by_paypal_id(session, order_id="ORDER"),
        ):
            assert row is not None and row.id == payment.id
        assert await get_payment_by_key(session, payment.user_id, None) is None
        assert await get_payment_by_paypal_id(session, capture_id="NONE") is None


async def test_a_status_changes_only_from_those_before(
    database: Database, payment: Payment
) -> None:
    async with database.transaction() as session:
        assert await move_payment(session, payment.id, "FAILED", ("CREATING",)) is None
        moved = await move_payment(
            session, payment.id, "VOIDED", ("CREATED",), check_at=None, attempt=2
        )
    assert moved is not None
    assert (moved.status, moved.check_at, moved.attempt) == ("VOIDED", None, 2)


async def test_a_row_that_was_not_locked_is_not_written(
    database: Database, payment: Payment
) -> None:
    async with database.transaction() as session:
        locked = await get_payment(session, payment.id, lock=True)
        assert locked is not None
        written = await update_payment(session, locked, status="APPROVED", capture_id="CAPTURE")
        assert (written.status, written.capture_id) == ("APPROVED", "CAPTURE")
    with pytest.raises(RuntimeError):  # this copy of the row is older
        async with database.transaction() as session:
            await update_payment(session, payment, attempt=3)


async def test_one_caller_captures_at_a_time(database: Database, payment: Payment) -> None:
    async with database.transaction() as session:
        claimed = await claim_capture(session, payment.id, 60)
        assert claimed is not None and claimed.status == "CAPTURING"
        assert await claim_capture(session, payment.id, 60) is None
        await set_next_check(session, payment.id, 0)
    async with database.transaction() as session:
        assert await claim_capture(session, payment.id, 60) is not None


async def test_due_payments_are_claimed_once(database: Database, payment: Payment) -> None:
    async with database.transaction() as session:
        assert await claim_due_payments(session, limit=5, lease_s=60) == []
        await set_next_check(session, payment.id, 0)
    async with database.transaction() as session:
        claimed = await claim_due_payments(session, limit=5, lease_s=60)
        assert [row.id for row in claimed] == [payment.id]
        assert await claim_due_payments(session, limit=5, lease_s=60) == []
        (listed,) = await list_payments(session, limit=5, after=None, status="CREATED")
        assert listed.id == payment.id
        assert await list_payments(session, limit=5, after=None, status="FAILED") == []


async def test_an_event_is_stored_and_applied_once(database: Database) -> None:
    async with database.transaction() as session:
        for is_new in (True, False):
            event = WebhookEvent(event_id="WH-1", type="t", payload={})
            assert await insert_event(session, event, 60) is is_new
        assert await finish_event(session, "WH-1")
        assert not await finish_event(session, "WH-1")
