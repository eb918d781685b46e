"""Runs payment calls in processes of their own, which crash at a given await."""

import asyncio
import os
from collections.abc import Coroutine, Generator
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any
from uuid import UUID

from db.engine import Database
from integrations.cache import RedisCache
from integrations.paypal.account import PayPalAccount
from integrations.paypal.paypal import PayPal
from studio.payments import captures, orders
from studio.payments.order_form import AmountForm, RefundForm
from studio.payments.refunds import refund
from tests.studio.payments.shop import order_form

CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.studio.payments.crashes"])
CRASHED = 9
PROCESSES = 4


@dataclass(frozen=True)
class PaymentCall:
    """What a process does, on which servers, and at which of its awaits it crashes."""

    operation: str
    crash_at: int
    database_url: str
    redis_url: str
    account: PayPalAccount
    user_id: UUID
    payment_id: UUID | None = None
    key: str | None = None


class CrashingAwaitable:
    """Awaits the work; at the given await the process exits, without any cleanup."""

    def __init__(self, work: Coroutine[Any, Any, Any], crash_at: int) -> None:
        self._work = work
        self._point = crash_at

    def __await__(self) -> Generator[Any, Any, Any]:
        steps, error = 0, None
        while True:
            try:
                awaitable = self._work.throw(error) if error else self._work.send(None)
            except StopIteration as stop:
                return stop.value
            if steps == self._point:
                os._exit(CRASHED)
            steps, error = steps + 1, None
            try:
                yield awaitable
            except BaseException as raised:
                error = raised


async def run(call: PaymentCall) -> None:
    """Runs the call on connections of its own."""
    database = Database(call.database_url, pool_size=2)
    cache = RedisCache(call.redis_url)
    paypal = PayPal(call.account, cache, pauses_s=(0.01, 0.02))
    await CrashingAwaitable(work(call, database, paypal), call.crash_at)
    await paypal.aclose()
    await cache.aclose()
    await database.aclose()


async def work(call: PaymentCall, database: Database, paypal: PayPal) -> None:
    """Creates, captures or refunds as the routes do."""
    if call.operation == "create":
        await orders.create_order(
            database, paypal, call.user_id, order_form(), idempotency_key=call.key
        )
        return
    assert call.payment_id is not None
    payment = await orders.reload(database, call.payment_id)
    if call.operation == "capture":
        await captures.capture(database, paypal, payment, wait_s=1)
        return
    form = RefundForm(amount=AmountForm(value="7.00", currency="EUR"))
    assert call.key is not None
    await refund(
        database, paypal, str(payment.capture_id), form, actor_id=call.user_id,
        idempotency_key=call.key,
    )  # fmt: skip


def main(call: PaymentCall) -> None:
    """The process's main function."""
    asyncio.run(run(call))


def run_calls(calls: list[PaymentCall]) -> list[int | None]:
    """The exit codes of the calls: `CRASHED`, or 0 for a call that ended before its crash."""
    codes: list[int | None] = []
    for start in range(0, len(calls), PROCESSES):
        processes = [
            CONTEXT.Process(target=main, args=(call,)) for call in calls[start : start + PROCESSES]
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
            codes.append(process.exitcode)
    return codes
