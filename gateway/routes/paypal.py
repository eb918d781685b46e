"""Routes of payments: orders, captures, refunds, and PayPal's webhook."""

from typing import Annotated, Self

from fastapi import APIRouter, Path, Request, Response

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
from gateway.resources import resources_of
from gateway.wire import WireResponse
from integrations.paypal.paypal import PayPal
from studio.forms import Storable
from studio.payments import captures, orders, refunds
from studio.payments.books import amount_of, payer_of
from studio.payments.money import Money, exact_money
from studio.payments.order_form import OrderForm, RefundForm
from studio.payments.refund_lines import RefundLine
from studio.ports import Studio

router = APIRouter(prefix="/api/paypal", tags=["payments"])

PayPalId = Annotated[Storable, Path(min_length=1, max_length=64)]


class AmountResponse(WireResponse):
    """An amount of money; the value is a decimal string."""

    value: str
    currency: str


class OrderResponse(WireResponse):
    """A new order; the payer approves it at `approvalUrl`."""

    id: str
    status: str = "CREATED"
    approval_url: str
    amount: AmountResponse

    @classmethod
    def of(cls, payment: Payment) -> Self:
        """The answer to a payment whose order PayPal has just created."""
        return cls(
            id=str(payment.order_id),
            approval_url=str(payment.approval_url),
            amount=AmountResponse.from_row(amount_of(payment)),
        )


class PayerResponse(WireResponse):
    """Who has paid, as far as PayPal reports it."""

    payer_id: str | None = None
    email: str | None = None
    name: str | None = None


class ReceiptResponse(WireResponse):
    """The state of an order; `captureId` is set once it is captured."""

    order_id: str
    capture_id: str | None
    status: str
    amount: AmountResponse
    refunded: AmountResponse
    payer: PayerResponse | None = None

    @classmethod
    def of(cls, payment: Payment) -> Self:
        """Adds the sums and the payer."""
        payer = payer_of(payment)
        return cls.from_row(
            payment,
            order_id=str(payment.order_id),
            amount=AmountResponse.from_row(amount_of(payment)),
            refunded=AmountResponse.from_row(exact_money(payment.refunded, payment.currency)),
            payer=PayerResponse.model_validate(payer) if payer else None,
        )


class RefundResponse(WireResponse):
    """A refund; `refundId` is PayPal's id."""

    id: str
    refund_id: str | None
    capture_id: str | None
    status: str
    amount: AmountResponse

    @classmethod
    def of(cls, payment: Payment, line: RefundLine) -> Self:
        """Adds the payment's capture and the amount in its currency."""
        return cls.from_row(
            line,
            capture_id=payment.capture_id,
            amount=AmountResponse.from_row(Money(payment.currency, line.minor)),
        )


class WebhookResponse(WireResponse):
    """`stored` for a new event, `known` for a repetition."""

    status: str


@router.post("/orders", status_code=201)
async def create_order(
    body: OrderForm,
    user: Customer,
    studio: StudioDep,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> OrderResponse:
    """Creates an order at PayPal for its payer to approve at `approvalUrl`; charges nothing yet."""
    payment = await orders.create_order(
        studio.database,
        _paypal_of(studio),
        user.id,
        body,
        idempotency_key=idempotency_key,
    )
    response.headers["Location"] = f"/api/paypal/orders/{payment.order_id}"
    return OrderResponse.of(payment)


@router.post("/orders/{order_id}/capture")
async def capture_order(order_id: PayPalId, user: Customer, studio: StudioDep) -> ReceiptResponse:
    """Captures the approved order; a repetition returns the same capture."""
    paypal = _paypal_of(studio)
    payment = await orders.find_own_payment(studio.database, order_id, user.id)
    return ReceiptResponse.of(await captures.capture(studio.database, paypal, payment))


@router.get("/orders/{order_id}")
async def read_order(order_id: PayPalId, user: Customer, studio: StudioDep) -> ReceiptResponse:
    """Returns the state of one of the caller's orders."""
    payment = await orders.find_own_payment(studio.database, order_id, user.id)
    return ReceiptResponse.of(payment)


@router.post("/captures/{capture_id}/refund", status_code=201)
async def refund_capture(
    capture_id: PayPalId,
    admin: Admin,
    studio: StudioDep,
    idempotency_key: RequiredKey,
    body: RefundForm | None = None,
) -> RefundResponse:
    """Refunds part of a payment, or all of the rest; once for each `Idempotency-Key`."""
    done = await refunds.refund(
        studio.database,
        _paypal_of(studio),
        capture_id,
        body or RefundForm(),
        actor_id=admin.id,
        idempotency_key=idempotency_key,
    )
    return RefundResponse.of(done.payment, done.line)


@router.post("/webhook", dependencies=[Public])
async def receive_paypal_webhook(request: Request, ip: ClientAddressDep) -> WebhookResponse:
    """Receives an event of PayPal: verifies the raw bytes, stores it once and applies it later."""
    inbox = resources_of(request).webhooks
    if inbox is None:
        raise Unavailable("payments are not set up here")
    is_new = await inbox.receive(request.headers, await request.body(), ip=ip)
    return WebhookResponse(status="stored" if is_new else "known")


def _paypal_of(studio: Studio) -> PayPal:
    """The studio's PayPal client.

    Raises:
        Unavailable: payments are not configured.
    """
    if studio.paypal is None:
        raise Unavailable("payments are not set up here")
    return studio.paypal
