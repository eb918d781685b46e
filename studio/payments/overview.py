"""Lists of all payments, for admins."""

from datetime import datetime
from typing import Any
from uuid import UUID

from db import payments as queries
from db.engine import Database
from db.tables import Payment


async def list_payments(
    database: Database,
    *,
    limit: int,
    after: tuple[datetime, UUID] | None,
    status: str | None = None,
) -> list[Payment]:
    """Reads payments, newest first; only those of one status if it is given."""
    async with database.read() as session:
        return await queries.list_payments(session, limit=limit, after=after, status=status)


def items_of(payment: Payment) -> list[dict[str, Any]]:
    """The items of the order as they were sent to PayPal; none if only an amount was ordered."""
    (unit,) = payment.payload.get("request", {}).get("purchase_units") or [{}]
    items: list[dict[str, Any]] = unit.get("items", [])
    return items
