"""A till in a process of its own that is killed where it waits: at each await in turn."""

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
from studio.payments import payments
from studio.payments.order_form import AmountForm, RefundForm
from studio.payments.refunds import refund
from tests.studio.payments.till import order_form

CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.studio.killed"])
KILLED = 9
AT_ONCE = 4


@dataclass(frozen=True)
class Errand:
    """What the process is to do, on which servers, and at which of its waits it dies."""

    deed: str
    point: int
    database_url: str
    redis_url: str
    account: PayPalAccount
    user_id: UUID
    payment_id: UUID | None = None
    key: str | None = None


class Mortal:
    """Awaits as the work does; at the given wait everything ends, and nothing is cleaned up."""

    def __init__(self, work: Coroutine[Any, Any, Any], point: int) -> None:
        self._work = work
        self._point = point

    def __await__(self) -> Generator[Any, Any, Any]:
        steps, error = 0, None
        while True:
            try:
                waited = self._work.throw(error) if error else self._work.send(None)
            except StopIteration as stop:
                return stop.value
            if steps == self._point:
                os._exit(KILLED)
            steps, error = steps + 1, None
            try:
                yield waited
            except BaseException as raised:
                error = raised


async def run(errand: Errand) -> None:
    """The errand, on connections of its own."""
    database = Database(errand.database_url, pool_size=2)
    cache = RedisCache(errand.redis_url)
    paypal = PayPal(errand.account, cache, pauses_s=(0.01, 0.02))
    await Mortal(work(errand, database, paypal), errand.point)
    await paypal.aclose()
    await cache.aclose()
    await database.aclose()


async def work(errand: Errand, database: Database, paypal: PayPal) -> None:
    """Create, capture or refund, as the routes do it."""
    if errand.deed == "create":
        await payments.create_order(
            database, paypal, errand.user_id, order_form(), idempotency_key=errand.key
        )
        return
    assert errand.payment_id is not None
    payment = await payments.reload(database, errand.payment_id)
    if errand.deed == "capture":
        await payments.capture(database, paypal, payment, wait_s=1)
        return
    form = RefundForm(amount=AmountForm(value="7.00", currency="EUR"))
    assert errand.key is not None
    await refund(
        database, paypal, str(payment.capture_id), form, actor_id=errand.user_id,
        idempotency_key=errand.key,
    )  # fmt: skip


def main(errand: Errand) -> None:
    """The whole life of the process."""
    asyncio.run(run(errand))


def send_out(errands: list[Errand]) -> list[int | None]:
    """Their exit codes: `KILLED`, or 0 for one that came to its end first."""
    codes: list[int | None] = []
    for start in range(0, len(errands), AT_ONCE):
        several = [
            CONTEXT.Process(target=main, args=(errand,))
            for errand in errands[start : start + AT_ONCE]
        ]
        for process in several:
            process.start()
        for process in several:
            process.join(60)
            codes.append(process.exitcode)
    return codes
