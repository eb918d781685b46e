"""A shop on real servers: a database, a client of the PayPal simulator, and a customer."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlmodel import col, select

from db.engine import Database
from db.payments import get_payment_by_key
from db.tables import Payment, User, WebhookEvent
from integrations.paypal.paypal import PayPal
from studio.payments import captures, orders
from studio.payments.inbox import WebhookInbox
from studio.payments.order_form import AmountForm, OrderForm, RefundForm
from studio.payments.refund_lines import read_lines
from studio.payments.refunds import RefundResult, refund
from studio.payments.settlement import settle_due
from tests.support.simulator import CANCEL_URL, RETURN_URL, Simulator


@dataclass
class Shop:
    """What the functions of `studio.payments` need, and the customer whose orders they are."""

    database: Database
    paypal: PayPal
    simulator: Simulator
    user_id: UUID
    inbox: WebhookInbox

    async def order(
        self, value: str = "20.00", currency: str = "EUR", *, key: str | None = None
    ) -> Payment:
        return await orders.create_order(
            self.database, self.paypal, self.user_id, order_form(value, currency),
            idempotency_key=key,
        )  # fmt: skip

    async def approved(self, value: str = "20.00", currency: str = "EUR") -> Payment:
        payment = await self.order(value, currency)
        self.simulator.approve(str(payment.order_id))
        return payment

    async def captured(self, value: str = "20.00") -> Payment:
        return await self.capture(await self.approved(value))

    async def refund(
        self, capture_id: str | None, value: str | None = None, *, key: str | None = None
    ) -> RefundResult:
        amount = AmountForm(value=value, currency="EUR") if value else None
        return await refund(
            self.database, self.paypal, str(capture_id), RefundForm(amount=amount),
            actor_id=self.user_id, idempotency_key=key or uuid4().hex,
        )  # fmt: skip

    async def check_books(self) -> None:
        """Compares every row with its order at PayPal."""
        rows = await self.rows()
        compare(rows, self.simulator.orders([str(row.order_id) for row in rows if row.order_id]))

    async def capture(self, payment: Payment) -> Payment:
        return await captures.capture(self.database, self.paypal, payment, wait_s=20)

    async def row(self, payment: Payment) -> Payment:
        return await orders.reload(self.database, payment.id)

    async def row_of_key(self, key: str) -> Payment | None:
        async with self.database.read() as session:
            return await get_payment_by_key(session, self.user_id, key)

    async def rows(self) -> list[Payment]:
        async with self.database.read() as session:
            return list((await session.exec(select(Payment).order_by(col(Payment.id)))).all())

    async def events(self) -> list[WebhookEvent]:
        async with self.database.read() as session:
            return list((await session.exec(select(WebhookEvent))).all())

    async def audit(self, payment: Payment) -> list[str]:
        statement = "SELECT action FROM audit_log WHERE detail ->> 'paymentId' = :id ORDER BY at"
        async with self.database.read() as session:
            rows = await session.exec(  # type: ignore[call-overload]
                text(statement), params={"id": str(payment.id)}
            )
            return [row[0] for row in rows]

    async def receive(self, transmission: tuple[dict[str, str], bytes]) -> bool:
        headers, body = transmission
        lower = {name.lower(): value for name, value in headers.items()}
        return await self.inbox.receive(lower, body, ip="192.0.2.9")

    async def make_due(self) -> None:
        """Makes everything that waits due now."""
        async with self.database.transaction() as session:
            for statement in (
                "UPDATE payment SET check_at = now() WHERE check_at IS NOT NULL",
                "UPDATE webhook_event SET retry_at = now() WHERE applied_at IS NULL",
            ):
                await session.exec(text(statement))  # type: ignore[call-overload]

    async def stop_checks(self) -> None:
        """Ends all checks, so that another run leaves these payments alone."""
        async with self.database.transaction() as session:
            statement = text("UPDATE payment SET check_at = NULL WHERE check_at IS NOT NULL")
            await session.exec(statement)  # type: ignore[call-overload]

    async def settle(self, rounds: int = 3) -> None:
        """Runs the settlement as the Dispatcher does in the long run."""
        for _ in range(rounds):
            await self.make_due()
            while await settle_due(self.database, self.paypal):
                pass


def order_form(value: str = "20.00", currency: str = "EUR") -> OrderForm:
    return OrderForm.model_validate(
        {
            "amount": {"value": value, "currency": currency},
            "returnUrl": RETURN_URL, "cancelUrl": CANCEL_URL,
        }
    )  # fmt: skip


@asynccontextmanager
async def open_shop(
    database_url: str, redis_url: str, simulator: Simulator, *, pool_size: int = 8
) -> AsyncIterator[Shop]:
    database = Database(database_url, pool_size=pool_size)
    user = User(email=f"{uuid4().hex}@example.com", password_hash="", role="customer")
    async with database.transaction() as session:
        session.add(user)
    async with simulator.paypal(redis_url) as paypal:
        inbox = WebhookInbox(database, paypal)
        try:
            yield Shop(database, paypal, simulator, user.id, inbox)
        finally:
            await inbox.settled()
            await database.aclose()


AGREES = {
    "CREATED": {"PAYER_ACTION_REQUIRED"}, "APPROVED": {"APPROVED"}, "PENDING": {"PENDING"},
    "DECLINED": {"DECLINED"}, "COMPLETED": {"COMPLETED"}, "REFUNDED": {"REFUNDED"},
    "PARTIALLY_REFUNDED": {"PARTIALLY_REFUNDED"}, "VOIDED": {"GONE"},
}  # fmt: skip


def compare(rows: Sequence[Payment], orders: Sequence[dict[str, Any]]) -> Counter[str]:
    """Asserts that states and amounts are the same at PayPal and in the rows.

    Returns how many payments have which state.
    """
    at_paypal = {order["purchase_units"][0]["custom_id"]: order for order in orders}
    assert len(at_paypal) == len(orders), "an order was made twice"
    by_id = {str(row.id): row for row in rows}
    assert at_paypal.keys() <= by_id.keys(), "PayPal has orders without a row"
    states: Counter[str] = Counter()
    sums = [Counter[str](), Counter[str]()]
    for name, row in by_id.items():
        order = at_paypal.get(name)
        if order is None:
            assert row.status in ("FAILED", "VOIDED") and not row.refunded, row
            continue
        status, captured, refunded = amounts_of(order)
        assert status in AGREES[row.status], (row.status, status)
        is_captured = row.status in ("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED")
        assert captured == (row.amount if is_captured else 0), (row, order)
        assert refunded == row.refunded, (row, order)
        assert row.order_id == order["id"]
        assert not any(line.status == "REQUESTED" for line in read_lines(row.refunds).values())
        sums[0][row.currency] += int((captured - refunded) * 100)
        sums[1][row.currency] += int(((row.amount if is_captured else 0) - row.refunded) * 100)
        states[row.status] += 1
    assert sums[0] == sums[1]
    return states


def amounts_of(order: dict[str, Any]) -> tuple[str, Decimal, Decimal]:
    """(state, captured amount, refunded amount) of PayPal's order document."""
    documents = order["purchase_units"][0].get("payments", {})
    captures, refunds = documents.get("captures", []), documents.get("refunds", [])
    assert len(captures) <= 1, "charged twice"
    refunded = sum((Decimal(refund["amount"]["value"]) for refund in refunds
                    if refund["status"] == "COMPLETED"), Decimal(0))  # fmt: skip
    if not captures:
        return str(order["status"]), Decimal(0), refunded
    (capture,) = captures
    captured = Decimal(capture["amount"]["value"])
    if capture["status"] in ("PENDING", "DECLINED"):
        captured = Decimal(0)
    return capture["status"], captured, refunded
