"""Routes of payments: orders, captures, refunds, and PayPal's own events."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import APIRouter, FastAPI, Path, Request, Response

from db.tables import Payment
from errors import Unavailable
from gateway.deps import (
    Admin,
    ClientAddressDep,
    Customer,
    IdempotencyKey,
    Public,
    RequiredKey,
    StudioDep,
)
from gateway.wire import Storable, WireRequest, WireResponse
from studio.payments import captures, orders, refunds
from studio.payments.books import amount_of
from studio.payments.inbox import WebhookInbox
from studio.payments.money import Money, exact_money
from studio.payments.order_form import OrderForm, RefundForm
from studio.payments.refund_lines import RefundLine


@asynccontextmanager
async def keep_inbox(app: FastAPI) -> AsyncIterator[None]:
    """The inbox lives as long as the app; at the end it applies what it has taken."""
    studio = app.state.studio
    app.state.webhooks = studio.paypal and WebhookInbox(studio.database, studio.paypal)
    try:
        yield
    finally:
        if app.state.webhooks:
            await app.state.webhooks.settled()


router = APIRouter(prefix="/api/paypal", tags=["payments"], lifespan=keep_inbox)

PayPalId = Annotated[Storable, Path(min_length=1, max_length=64)]


class AmountResponse(WireResponse):
    """A sum, as a decimal string."""

    value: str
    currency: str

    @classmethod
    def of(cls, money: Money) -> "AmountResponse":
        """Money -> wire."""
        return cls(value=money.value, currency=money.currency)


class OrderRequest(OrderForm, WireRequest):
    """Products that we price, or an amount; where the payer goes after approving or cancelling."""


class OrderResponse(WireResponse):
    """An order as it was made, waiting for its payer at `approvalUrl`."""

    id: str
    status: str = "CREATED"
    approval_url: str
    amount: AmountResponse


class PayerResponse(WireResponse):
    """Who paid, as far as PayPal says."""

    payer_id: str | None = None
    email: str | None = None
    name: str | None = None


class ReceiptResponse(WireResponse):
    """What became of an order; `captureId` once it is captured."""

    order_id: str
    capture_id: str | None
    status: str
    amount: AmountResponse
    refunded: AmountResponse
    payer: PayerResponse | None = None

    @classmethod
    def of(cls, payment: Payment) -> "ReceiptResponse":
        """Row -> wire."""
        amount = amount_of(payment)
        payer = payment.payload.get("payer")
        return cls(
            order_id=str(payment.order_id),
            capture_id=payment.capture_id,
            status=payment.status,
            amount=AmountResponse.of(amount),
            refunded=AmountResponse.of(exact_money(payment.refunded, payment.currency)),
            payer=PayerResponse.model_validate(payer) if payer else None,
        )


class RefundRequest(RefundForm, WireRequest):
    """Part of the payment; all that is left without an amount."""


class RefundResponse(WireResponse):
    """A refund; `refundId` is PayPal's own."""

    id: str
    refund_id: str | None
    capture_id: str | None
    status: str
    amount: AmountResponse

    @classmethod
    def of(cls, payment: Payment, line: RefundLine) -> "RefundResponse":
        """Row and line -> wire."""
        return cls(
            id=line.id,
            refund_id=line.refund_id,
            capture_id=payment.capture_id,
            status=line.status,
            amount=AmountResponse.of(Money(payment.currency, line.minor)),
        )


class WebhookResponse(WireResponse):
    """`stored`: a new event; `known`: it was there already."""

    status: str


@router.post("/orders", status_code=201)
async def create_order(
    body: OrderRequest,
    user: Customer,
    studio: StudioDep,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> OrderResponse:
    """An order at PayPal, which its payer approves at `approvalUrl`; nothing is charged yet."""
    payment = await orders.create_order(
        studio.database,
        orders.require_paypal(studio),
        user.id,
        body,
        idempotency_key=idempotency_key,
    )
    response.headers["Location"] = f"/api/paypal/orders/{payment.order_id}"
    return OrderResponse(
        id=str(payment.order_id),
        approval_url=str(payment.approval_url),
        amount=AmountResponse.of(amount_of(payment)),
    )


@router.post("/orders/{order_id}/capture")
async def capture(order_id: PayPalId, user: Customer, studio: StudioDep) -> ReceiptResponse:
    """Takes the approved money, once however often this is called."""
    paypal = orders.require_paypal(studio)
    payment = await orders.find_own_payment(studio.database, order_id, user.id)
    return ReceiptResponse.of(await captures.capture(studio.database, paypal, payment))


@router.get("/orders/{order_id}")
async def read_order(order_id: PayPalId, user: Customer, studio: StudioDep) -> ReceiptResponse:
    """What has become of one's own order so far."""
    payment = await orders.find_own_payment(studio.database, order_id, user.id)
    return ReceiptResponse.of(payment)


@router.post("/captures/{capture_id}/refund", status_code=201)
async def refund(
    capture_id: PayPalId,
    admin: Admin,
    studio: StudioDep,
    idempotency_key: RequiredKey,
    body: RefundRequest | None = None,
) -> RefundResponse:
    """Gives part of a payment back, or all that is left of it; once for each Idempotency-Key."""
    done = await refunds.refund(
        studio.database,
        orders.require_paypal(studio),
        capture_id,
        body or RefundRequest(),
        actor_id=admin.id,
        idempotency_key=idempotency_key,
    )
    return RefundResponse.of(done.payment, done.line)


@router.post("/webhook", dependencies=[Public])
async def webhook(request: Request, ip: ClientAddressDep) -> WebhookResponse:
    """PayPal's events: checked over the raw bytes, stored once, applied behind the answer."""
    inbox: WebhookInbox | None = request.app.state.webhooks
    if inbox is None:
        raise Unavailable("payments are not set up here")
    is_new = await inbox.receive(request.headers, await request.body(), ip=ip)
    return WebhookResponse(status="stored" if is_new else "known")
