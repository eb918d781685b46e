"""A state machine of shoppers, PayPal's faults and its events, in random order."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any
from uuid import UUID, uuid4

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple, rule

from db.tables import Payment
from errors import StudioError
from studio.payments import captures, orders
from studio.payments.order_form import AmountForm, RefundForm
from studio.payments.refunds import refund
from tests.studio.payments.shop import Shop, compare

CALLS = st.sampled_from(["create", "get", "capture", "refund", "token", "any"])
FAULTS = st.sampled_from(
    ["lost_request", "lost_answer", "error", "error_after", "busy", "unauthorized"]
)
SUMS = st.sampled_from([("20.00", "EUR"), ("0.01", "USD"), ("7", "JPY"), ("1234.56", "GBP")])


class Stage:
    """What all runs share: one event loop and one shop."""

    shop: Shop
    runner: asyncio.Runner
    runs = 0
    ends: Counter[str] = Counter()


class PaymentMachine(RuleBasedStateMachine):
    """One run with its own orders, in a database that other runs use as well."""

    orders = Bundle("orders")

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[UUID] = []
        self.first_event = Stage.shop.simulator.event_count()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Runs it in the shared loop; errors that callers expect are returned."""

        async def expected() -> Any:
            try:
                return await work
            except StudioError as error:
                return error

        return Stage.runner.run(expected())

    @initialize(target=orders, sums=SUMS)
    def first_order(self, sums: tuple[str, str]) -> Any:
        return self.order(sums)

    @rule(target=orders, sums=SUMS)
    def another_order(self, sums: tuple[str, str]) -> Any:
        return self.order(sums)

    def order(self, sums: tuple[str, str]) -> Any:
        key = f"run {Stage.runs}, order {len(self.ids)}"
        self.run(Stage.shop.order(*sums, key=key))
        row = self.run(Stage.shop.row_of_key(key))  # it exists even if PayPal's answer was lost
        assert isinstance(row, Payment)
        self.ids.append(row.id)
        return multiple(row.id)

    @rule(order=orders)
    def approve(self, order: UUID) -> None:
        row = self.row(order)
        if row.order_id:
            Stage.shop.simulator.approve(row.order_id)

    @rule(order=orders, callers=st.integers(1, 4))
    def capture(self, order: UUID, callers: int) -> None:
        row = self.row(order)
        if row.order_id is None:
            return
        shop = Stage.shop

        async def together() -> list[Any]:
            calls = (
                captures.capture(shop.database, shop.paypal, row, wait_s=2) for _ in range(callers)
            )
            return await asyncio.gather(*calls, return_exceptions=True)

        results = self.run(together())
        assert all(isinstance(result, Payment | StudioError) for result in results), results
        receipts = {result.capture_id for result in results if isinstance(result, Payment)}
        assert len(receipts) <= 1

    @rule(order=orders, value=st.sampled_from([None, "0.01", "3", "20.00"]), key=st.integers(0, 2))
    def refund(self, order: UUID, value: str | None, key: int) -> None:
        row = self.row(order)
        if row.capture_id is None:
            return
        try:
            form = RefundForm(
                amount=AmountForm(value=value, currency=row.currency) if value else None
            )
            if form.amount:
                form.amount.to_money()
        except StudioError:
            return
        shop = Stage.shop
        self.run(
            refund(
                shop.database, shop.paypal, row.capture_id, form, actor_id=shop.user_id,
                idempotency_key=f"{key}-{value}" if key else uuid4().hex,
            )
        )  # fmt: skip

    @rule(order=orders)
    def refund_at_paypal(self, order: UUID) -> None:
        row = self.row(order)
        if row.capture_id is not None:
            Stage.shop.simulator.client.post(f"/simulator/captures/{row.capture_id}/refund")

    @rule(order=orders, status=st.sampled_from(["COMPLETED", "DECLINED"]))
    def paypal_decides(self, order: UUID, status: str) -> None:
        row = self.row(order)
        if row.capture_id is not None:
            path = f"/simulator/captures/{row.capture_id}/settle"
            Stage.shop.simulator.post(path, {"status": status})

    @rule(call=CALLS, kind=FAULTS, times=st.integers(1, 4))
    def break_calls(self, call: str, kind: str, times: int) -> None:
        Stage.shop.simulator.fault(call, kind, times)

    @rule(kind=st.sampled_from(["declined", "pending"]))
    def decline_or_delay(self, kind: str) -> None:
        Stage.shop.simulator.fault("capture", kind)

    @rule(data=st.data())
    def receive_events(self, data: st.DataObject) -> None:
        """Receives some of the events so far: late, twice, in any order."""
        events = Stage.shop.simulator.webhooks(self.first_event)
        if not events:
            return
        indices = data.draw(st.lists(st.sampled_from(range(len(events))), max_size=6))

        async def receive() -> None:
            await asyncio.gather(
                *(Stage.shop.receive(events[index]) for index in indices), return_exceptions=True
            )
            await Stage.shop.inbox.settled()

        self.run(receive())

    @rule()
    def reconcile(self) -> None:
        self.run(Stage.shop.settle(1))

    def row(self, payment_id: UUID) -> Payment:
        """The payment's row as it is now."""
        row = self.run(orders.reload(Stage.shop.database, payment_id))
        assert isinstance(row, Payment)
        return row

    def teardown(self) -> None:
        """Ends all faults, settles everything, and compares the rows with PayPal."""
        shop = Stage.shop
        shop.simulator.forget_faults()
        self.run(shop.settle())
        rows = [self.row(name) for name in self.ids]
        names = [str(row.order_id) for row in rows if row.order_id]
        Stage.ends += compare(rows, shop.simulator.orders(names) if names else [])
        Stage.runs += 1
        self.run(shop.stop_checks())
