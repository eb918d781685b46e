"""The route of all payments, for admins."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Query

from db.tables import PAYMENT_STATES, Payment
from gateway.deps import Admin, StudioDep
from gateway.documents import Document
from gateway.paging import PageDep, page_of
from gateway.routes.paypal import ReceiptResponse
from gateway.wire import Page, WireResponse
from studio.payments import overview
from studio.payments.books import payer_of
from studio.payments.money import Money
from studio.payments.refund_lines import RefundLine, read_lines

router = APIRouter(prefix="/api/admin", tags=["admin"])

Status = StrEnum("Status", {name: name for name in PAYMENT_STATES})  # type: ignore[misc]


class PaymentRefundResponse(WireResponse):
    """A refund of a payment; `refundId` is PayPal's id."""

    id: str
    refund_id: str | None
    status: str
    amount: str
    note: str | None

    @classmethod
    def of(cls, line: RefundLine, currency: str) -> Self:
        """Adds the amount in the payment's currency."""
        return cls.from_row(line, amount=Money(currency, line.minor).value)


class PaymentResponse(WireResponse):
    """A payment as admins see it; `checkAt` is when the studio asks PayPal for its state again."""

    id: UUID
    user_id: UUID | None
    order_id: str | None
    capture_id: str | None
    status: str
    amount: str
    currency: str
    refunded: str
    refunds: list[PaymentRefundResponse]
    items: list[Document]
    payer: dict[str, str] | None
    check_at: datetime | None
    request_id: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, payment: Payment) -> Self:
        """Adds the sums, the refunds, and the items and the payer from PayPal's documents."""
        receipt = ReceiptResponse.of(payment)
        refunds = read_lines(payment.refunds).values()
        return cls.from_row(
            payment,
            amount=receipt.amount.value,
            refunded=receipt.refunded.value,
            refunds=[PaymentRefundResponse.of(line, payment.currency) for line in refunds],
            items=overview.items_of(payment),
            payer=payer_of(payment),
        )


@router.get("/payments")
async def read_payments(
    _: Admin,
    studio: StudioDep,
    page: PageDep,
    status: Annotated[Status | None, Query()] = None,
) -> Page[PaymentResponse]:
    """Lists all payments, newest first; `status` selects the payments in one state."""
    rows = await overview.list_payments(
        studio.database, limit=page.row_limit, after=page.after_key, status=status
    )
    return await page_of(rows, page, PaymentResponse.of)
