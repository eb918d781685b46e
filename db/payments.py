"""Queries over payments and PayPal's events; every change of a status is a guarded update."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import Payment, WebhookEvent


def after_s(seconds: float) -> ColumnElement[datetime]:
    """The time in this many seconds, by the database's clock."""
    moment: ColumnElement[datetime] = func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    return moment


def is_attempt(number: int) -> ColumnElement[bool]:
    """The condition that the payment's capture is at this attempt."""
    return col(Payment.attempt) == number


async def get_payment_by_key(
    session: AsyncSession, user_id: UUID | None, key: str | None
) -> Payment | None:
    """The payment that this user created under this idempotency key."""
    if key is None:
        return None
    query = select(Payment).where(Payment.user_id == user_id, Payment.idempotency_key == key)
    return (await session.exec(query)).first()


async def insert_payment(session: AsyncSession, payment: Payment, check_s: float) -> Payment:
    """Inserts a payment. Returns it, or the one that another request inserted under its key.

    check_s: the time until its first check at PayPal.
    """
    values = payment.model_dump(exclude_none=True) | {"check_at": after_s(check_s)}
    statement = insert(Payment).values(values).on_conflict_do_nothing().returning(Payment)
    row: Payment | None = (await session.exec(statement)).scalar_one_or_none()
    if row is None:
        row = await get_payment_by_key(session, payment.user_id, payment.idempotency_key)
    if row is None:
        raise RuntimeError("the payment was neither inserted nor there")
    return row


async def get_payment(
    session: AsyncSession, payment_id: UUID, *, lock: bool = False
) -> Payment | None:
    """The payment as it is now; `lock` keeps others from changing it until the transaction ends."""
    return await session.get(
        Payment, payment_id, with_for_update=lock or None, populate_existing=True
    )


async def get_payment_by_paypal_id(
    session: AsyncSession, *, order_id: str | None = None, capture_id: str | None = None
) -> Payment | None:
    """The payment with this id of PayPal's."""
    query = select(Payment)
    if order_id is not None:
        query = query.where(Payment.order_id == order_id)
    if capture_id is not None:
        query = query.where(Payment.capture_id == capture_id)
    return (await session.exec(query)).first()


async def move_payment(
    session: AsyncSession,
    payment_id: UUID,
    status: str,
    before: Sequence[str],
    *conditions: ColumnElement[bool],
    **values: Any,
) -> Payment | None:
    """Gives a payment another status. Returns the row; None if its status was not in `before`.

    values: further columns to write.
    """
    statement = (
        update(Payment)
        .where(col(Payment.id) == payment_id, col(Payment.status).in_(before), *conditions)
        .values(status=status, updated_at=func.now(), **values)
        .returning(Payment)
    )
    result = await session.exec(statement, execution_options={"populate_existing": True})
    payment: Payment | None = result.scalar_one_or_none()
    return payment


async def update_payment(session: AsyncSession, payment: Payment, **values: Any) -> Payment:
    """Writes columns of a payment that the caller has locked. Returns the row as it is then.

    Raises:
        RuntimeError: the row has another status now, so it was not locked.
    """
    statement = (
        update(Payment)
        .where(col(Payment.id) == payment.id, col(Payment.status) == payment.status)
        .values(updated_at=func.now(), **values)
        .returning(Payment)
    )
    result = await session.exec(statement, execution_options={"populate_existing": True})
    row: Payment | None = result.scalar_one_or_none()
    if row is None:
        raise RuntimeError("the payment's row was not locked")
    return row


async def claim_capture(session: AsyncSession, payment_id: UUID, lease_s: float) -> Payment | None:
    """Claims a payment for capture by one caller. Returns it; None if another caller has it.

    A claim whose lease has expired can be taken over.
    """
    is_open = col(Payment.status).in_(("CREATED", "APPROVED"))
    is_expired = and_(col(Payment.status) == "CAPTURING", col(Payment.check_at) <= func.now())
    return await move_payment(
        session, payment_id, "CAPTURING", ("CREATED", "APPROVED", "CAPTURING"),
        or_(is_open, is_expired), check_at=after_s(lease_s),
    )  # fmt: skip


async def set_next_check(session: AsyncSession, payment_id: UUID, check_s: float | None) -> None:
    """Sets when a payment is checked at PayPal again; None: never."""
    moment = None if check_s is None else after_s(check_s)
    await session.exec(update(Payment).where(col(Payment.id) == payment_id).values(check_at=moment))


async def claim_due_payments(session: AsyncSession, *, limit: int, lease_s: float) -> list[Payment]:
    """Claims payments whose check is due, for `lease_s`. Returns those that are due the longest."""
    due = (
        select(Payment.id)
        .where(col(Payment.check_at) <= func.now())
        .order_by(col(Payment.check_at))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    statement = (
        update(Payment)
        .where(col(Payment.id).in_(due))
        .values(check_at=after_s(lease_s))
        .returning(Payment)
    )
    return list((await session.exec(statement)).scalars().all())


async def list_payments(
    session: AsyncSession,
    *,
    limit: int,
    after: tuple[datetime, UUID] | None,
    status: str | None = None,
) -> list[Payment]:
    """A page of payments, newest first."""
    query = select(Payment).order_by(col(Payment.created_at).desc(), col(Payment.id).desc())
    if after is not None:
        query = query.where(tuple_(col(Payment.created_at), col(Payment.id)) < after)
    if status is not None:
        query = query.where(Payment.status == status)
    return list((await session.exec(query.limit(limit))).all())


async def insert_event(session: AsyncSession, event: WebhookEvent, lease_s: float) -> bool:
    """Stores an event. Returns False if it is stored already.

    Its sender has `lease_s` to apply it; after that anybody may claim it.
    """
    values = event.model_dump(exclude_none=True) | {"retry_at": after_s(lease_s)}
    statement = insert(WebhookEvent).values(values).on_conflict_do_nothing()
    return bool((await session.exec(statement)).rowcount)


async def claim_due_events(
    session: AsyncSession, *, limit: int, lease_s: float
) -> list[WebhookEvent]:
    """Claims events that nobody has applied. Returns those that are due the longest."""
    due = (
        select(WebhookEvent.event_id)
        .where(col(WebhookEvent.applied_at).is_(None), col(WebhookEvent.retry_at) <= func.now())
        .order_by(col(WebhookEvent.retry_at))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    statement = (
        update(WebhookEvent)
        .where(col(WebhookEvent.event_id).in_(due))
        .values(retry_at=after_s(lease_s), attempts=col(WebhookEvent.attempts) + 1)
        .returning(WebhookEvent)
    )
    return list((await session.exec(statement)).scalars().all())


async def finish_event(session: AsyncSession, event_id: str, note: str | None = None) -> bool:
    """Marks an event as applied. Returns False if it was applied already."""
    statement = (
        update(WebhookEvent)
        .where(col(WebhookEvent.event_id) == event_id, col(WebhookEvent.applied_at).is_(None))
        .values(applied_at=func.now(), error=note)
    )
    return bool((await session.exec(statement)).rowcount)


async def postpone_event(
    session: AsyncSession, event_id: str, *, retry_s: float, error: str
) -> None:
    """Records why an event could not be applied, and when to try again."""
    await session.exec(
        update(WebhookEvent)
        .where(col(WebhookEvent.event_id) == event_id, col(WebhookEvent.applied_at).is_(None))
        .values(error=error, retry_at=after_s(retry_s))
    )
