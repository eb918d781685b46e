"""The route for admins over all payments."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from db.payments import list_payments
from db.tables import PAYMENT_STATES, Payment
from gateway.deps import Admin, StudioDep
from gateway.documents import Document, show_rows
from gateway.paging import Cursor, PageDep
from gateway.routes.paypal import ReceiptResponse
from gateway.wire import Page, WireResponse
from studio.payments.money import Money
from studio.payments.refund_lines import read_lines

router = APIRouter(prefix="/api/admin", tags=["admin"])

Status = StrEnum("Status", {name: name for name in PAYMENT_STATES})  # type: ignore[misc]


class RefundShown(WireResponse):
    """One refund; `refundId` is PayPal's own."""

    id: str
    refund_id: str | None
    status: str
    amount: str
    note: str | None


class PaymentResponse(WireResponse):
    """A payment as admins see it; `checkAt`: when the studio looks at PayPal again."""

    id: UUID
    user_id: UUID | None
    order_id: str | None
    capture_id: str | None
    status: str
    amount: str
    currency: str
    refunded: str
    refunds: list[RefundShown]
    items: list[Document]
    payer: dict[str, str] | None
    check_at: datetime | None
    request_id: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    async def of(cls, payment: Payment) -> "PaymentResponse":
        """Row -> wire."""
        same = ("id", "user_id", "order_id", "capture_id", "status", "currency", "check_at",
                "request_id", "created_at", "updated_at")  # fmt: skip
        (unit,) = payment.payload.get("request", {}).get("purchase_units") or [{}]
        receipt = ReceiptResponse.of(payment)
        return cls(
            **{name: getattr(payment, name) for name in same},
            amount=receipt.amount.value,
            refunded=receipt.refunded.value,
            refunds=[
                RefundShown(
                    id=line.id, refund_id=line.refund_id, status=line.status, note=line.note,
                    amount=Money(payment.currency, line.minor).value,
                )
                for line in read_lines(payment.refunds).values()
            ],
            items=unit.get("items", []),
            payer=payment.payload.get("payer"),
        )  # fmt: skip


@router.get("/payments")
async def read_payments(
    _: Admin,
    studio: StudioDep,
    page: PageDep,
    status: Annotated[Status | None, Query()] = None,
) -> Page[PaymentResponse]:
    """Every payment, newest first; of one status where asked for."""
    async with studio.database.transaction() as session:
        rows = await list_payments(
            session, limit=page.limit + 1, after=page.after_key, status=status
        )
    shown = rows[: page.limit]
    more = len(rows) > page.limit
    return Page(
        items=await show_rows(shown, PaymentResponse.of),
        next_cursor=Cursor(shown[-1].created_at, str(shown[-1].id)).encode() if more else None,
    )
