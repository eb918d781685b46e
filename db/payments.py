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
    """A moment from now on, by the database's clock."""
    moment: ColumnElement[datetime] = func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    return moment


async def find_by_key(
    session: AsyncSession, user_id: UUID | None, key: str | None
) -> Payment | None:
    """The payment that its owner's idempotency key stands for."""
    if key is None:
        return None
    query = select(Payment).where(Payment.user_id == user_id, Payment.idempotency_key == key)
    return (await session.exec(query)).first()


async def insert_payment(session: AsyncSession, payment: Payment, check_s: float) -> Payment:
    """A new payment, or the one that was made meanwhile under the same key."""
    values = payment.model_dump(exclude_none=True) | {"check_at": after_s(check_s)}
    statement = insert(Payment).values(values).on_conflict_do_nothing().returning(Payment)
    made: Payment | None = (await session.exec(statement)).scalar_one_or_none()
    if made is None:
        made = await find_by_key(session, payment.user_id, payment.idempotency_key)
    if made is None:
        raise RuntimeError("the payment was neither inserted nor there")
    return made


async def get_payment(
    session: AsyncSession, payment_id: UUID, *, lock: bool = False
) -> Payment | None:
    """One payment, as it is now."""
    return await session.get(
        Payment, payment_id, with_for_update=lock or None, populate_existing=True
    )


async def find_payment(
    session: AsyncSession, *, order_id: str | None = None, capture_id: str | None = None
) -> Payment | None:
    """By one of PayPal's ids."""
    query = select(Payment)
    if order_id is not None:
        query = query.where(Payment.order_id == order_id)
    if capture_id is not None:
        query = query.where(Payment.capture_id == capture_id)
    return (await session.exec(query)).first()


async def advance(
    session: AsyncSession,
    payment_id: UUID,
    status: str,
    before: Sequence[str],
    *where: ColumnElement[bool],
    **values: Any,
) -> Payment | None:
    """Moves a payment on; None where it isn't in one of the states before."""
    statement = (
        update(Payment)
        .where(col(Payment.id) == payment_id, col(Payment.status).in_(before), *where)
        .values(status=status, updated_at=func.now(), **values)
        .returning(Payment)
    )
    found = await session.exec(statement, execution_options={"populate_existing": True})
    moved: Payment | None = found.scalar_one_or_none()
    return moved


async def claim_capture(session: AsyncSession, payment_id: UUID, lease_s: float) -> Payment | None:
    """The right to capture: of one caller at a time, and again when that one was silent."""
    is_open = col(Payment.status).in_(("CREATED", "APPROVED"))
    is_left = and_(col(Payment.status) == "CAPTURING", col(Payment.check_at) <= func.now())
    everything = ("CREATED", "APPROVED", "CAPTURING")
    return await advance(
        session, payment_id, "CAPTURING", everything, or_(is_open, is_left),
        check_at=after_s(lease_s),
    )  # fmt: skip


async def set_check(session: AsyncSession, payment_id: UUID, check_s: float | None) -> None:
    """When somebody should look again; None: never."""
    moment = None if check_s is None else after_s(check_s)
    await session.exec(update(Payment).where(col(Payment.id) == payment_id).values(check_at=moment))


async def claim_due_payments(session: AsyncSession, *, limit: int, lease_s: float) -> list[Payment]:
    """Payments that somebody should look at, the longest due first; they are the caller's now."""
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
    """Newest first."""
    query = select(Payment).order_by(col(Payment.created_at).desc(), col(Payment.id).desc())
    if after is not None:
        query = query.where(tuple_(col(Payment.created_at), col(Payment.id)) < after)
    if status is not None:
        query = query.where(Payment.status == status)
    return list((await session.exec(query.limit(limit))).all())


async def insert_event(session: AsyncSession, event: WebhookEvent, lease_s: float) -> bool:
    """Stores an event for its first finder to apply; False where it is there already."""
    values = event.model_dump(exclude_none=True) | {"retry_at": after_s(lease_s)}
    statement = insert(WebhookEvent).values(values).on_conflict_do_nothing()
    return bool((await session.exec(statement)).rowcount)


async def claim_due_events(
    session: AsyncSession, *, limit: int, lease_s: float
) -> list[WebhookEvent]:
    """Events that nobody has applied, the longest due first; they are the caller's now."""
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
    """Marks an event as applied; False where another did."""
    statement = (
        update(WebhookEvent)
        .where(col(WebhookEvent.event_id) == event_id, col(WebhookEvent.applied_at).is_(None))
        .values(applied_at=func.now(), error=note)
    )
    return bool((await session.exec(statement)).rowcount)


async def postpone_event(
    session: AsyncSession, event_id: str, *, retry_s: float, error: str
) -> None:
    """Notes why an event could not be applied, and when to try again."""
    await session.exec(
        update(WebhookEvent)
        .where(col(WebhookEvent.event_id) == event_id, col(WebhookEvent.applied_at).is_(None))
        .values(error=error, retry_at=after_s(retry_s))
    )
