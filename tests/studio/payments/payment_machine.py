"""Shoppers, PayPal's whims and its events at random; in the end the money is the same."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any
from uuid import UUID, uuid4

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple, rule

from db.tables import Payment
from errors import StudioError
from studio.payments import payments
from studio.payments.order_form import AmountForm, RefundForm
from studio.payments.refunds import refund
from tests.studio.payments.till import Till, compare

CALLS = st.sampled_from(["create", "get", "capture", "refund", "token", "any"])
SILENCES = st.sampled_from(
    ["lost_request", "lost_answer", "error", "error_after", "busy", "unauthorized"]
)
SUMS = st.sampled_from([("20.00", "EUR"), ("0.01", "USD"), ("7", "JPY"), ("1234.56", "GBP")])


class Stage:
    """What all runs share: one loop, one till."""

    till: Till
    runner: asyncio.Runner
    runs = 0
    ends: Counter[str] = Counter()


class PaymentMachine(RuleBasedStateMachine):
    """One run: its own orders, on books that other runs have written into as well."""

    orders = Bundle("orders")

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[UUID] = []
        self.heard: list[tuple[dict[str, str], bytes]] = []
        self.begun = Stage.till.simulator.event_count()

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """In the loop that all runs share; failures that callers are told of are no surprise."""

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
        self.do(Stage.till.order(*sums, key=key))
        made = self.do(Stage.till.row_of_key(key))  # there even if its maker heard nothing
        assert isinstance(made, Payment)
        self.ids.append(made.id)
        return multiple(made.id)

    @rule(order=orders)
    def approve(self, order: UUID) -> None:
        row = self.row(order)
        if row.order_id:
            Stage.till.simulator.approve(row.order_id)

    @rule(order=orders, callers=st.integers(1, 4))
    def capture(self, order: UUID, callers: int) -> None:
        row = self.row(order)
        if row.order_id is None:
            return
        till = Stage.till

        async def together() -> list[Any]:
            calls = (
                payments.capture(till.database, till.paypal, row, wait_s=2) for _ in range(callers)
            )
            return await asyncio.gather(*calls, return_exceptions=True)

        done = self.do(together())
        assert all(isinstance(one, Payment | StudioError) for one in done), done
        receipts = {one.capture_id for one in done if isinstance(one, Payment)}
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
        till = Stage.till
        self.do(
            refund(
                till.database, till.paypal, row.capture_id, form, actor_id=till.user_id,
                idempotency_key=f"{key}-{value}" if key else uuid4().hex,
            )
        )  # fmt: skip

    @rule(order=orders)
    def refund_at_paypal(self, order: UUID) -> None:
        row = self.row(order)
        if row.capture_id is not None:
            Stage.till.simulator.client.post(f"/simulator/captures/{row.capture_id}/refund")

    @rule(order=orders, status=st.sampled_from(["COMPLETED", "DECLINED"]))
    def paypal_decides(self, order: UUID, status: str) -> None:
        row = self.row(order)
        if row.capture_id is not None:
            path = f"/simulator/captures/{row.capture_id}/settle"
            Stage.till.simulator.post(path, {"status": status})

    @rule(call=CALLS, kind=SILENCES, times=st.integers(1, 4))
    def silence(self, call: str, kind: str, times: int) -> None:
        Stage.till.simulator.fault(call, kind, times)

    @rule(kind=st.sampled_from(["declined", "pending"]))
    def whim(self, kind: str) -> None:
        Stage.till.simulator.fault("capture", kind)

    @rule(data=st.data())
    def hear(self, data: st.DataObject) -> None:
        """Some of the events so far: late, twice, in any order."""
        sent = Stage.till.simulator.webhooks(self.begun)
        if not sent:
            return
        some = data.draw(st.lists(st.sampled_from(range(len(sent))), max_size=6))

        async def arrive() -> None:
            await asyncio.gather(
                *(Stage.till.receive(sent[place]) for place in some), return_exceptions=True
            )
            await Stage.till.inbox.settled()

        self.do(arrive())

    @rule()
    def reconcile(self) -> None:
        self.do(Stage.till.settle(1))

    def row(self, payment_id: UUID) -> Payment:
        """The payment as our books have it now."""
        found = self.do(payments.reload(Stage.till.database, payment_id))
        assert isinstance(found, Payment)
        return found

    def teardown(self) -> None:
        """PayPal is well again, a while passes, and the books are compared."""
        till = Stage.till
        till.simulator.forget_faults()
        self.do(till.settle())
        rows = [self.row(name) for name in self.ids]
        names = [str(row.order_id) for row in rows if row.order_id]
        Stage.ends += compare(rows, till.simulator.orders(names) if names else [])
        Stage.runs += 1
        self.do(till.rest())
