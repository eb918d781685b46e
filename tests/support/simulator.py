"""The PayPal simulator of a test run, over real HTTP, and what tests do with it.

async def test_something(simulator: Simulator) -> None: ...
"""

import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import uvicorn

from integrations.cache import RedisCache
from integrations.paypal.account import PayPalAccount, simulator_site
from integrations.paypal.paypal import PayPal
from local.paypal.app import create_app
from local.paypal.state import SimulatorArgs
from local.running import free_port

CREDENTIALS = {
    "paypal_client_id": "test", "paypal_client_secret": "secret", "paypal_webhook_id": "WHTEST",
}  # fmt: skip
RETURN_URL = "http://shop.test/return?cart=7"
CANCEL_URL = "http://shop.test/cancel"


def client_secret() -> str:
    """A function, because crash tests pickle the account."""
    return CREDENTIALS["paypal_client_secret"]


class Simulator:
    """A server in a thread; `stop` and `start` are a restart with the same store."""

    def __init__(self, folder: Path, target: str = "") -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.args = SimulatorArgs(
            folder, self.url, CREDENTIALS["paypal_client_id"],
            CREDENTIALS["paypal_client_secret"], CREDENTIALS["paypal_webhook_id"], target,
        )  # fmt: skip
        self.client = httpx.Client(base_url=self.url, timeout=20)
        self.start()

    def start(self) -> None:
        self.app = create_app(self.args)
        config = uvicorn.Config(
            self.app, host="127.0.0.1", port=self.port, log_level="critical", access_log=False
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.005)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)

    def settings(self) -> dict[str, Any]:
        """The settings of a studio that uses it."""
        return {"paypal_url": self.url, "paypal_ca_file": self.folder / "ca.pem", **CREDENTIALS}

    def account(self, *, postback: bool = False) -> PayPalAccount:
        return PayPalAccount(
            simulator_site(self.url), CREDENTIALS["paypal_client_id"],
            client_secret, CREDENTIALS["paypal_webhook_id"],
            self.folder / "ca.pem", postback,
        )  # fmt: skip

    @asynccontextmanager
    async def paypal(
        self, redis_url: str, *, postback: bool = False, read_s: float = 5, **account: Any
    ) -> AsyncIterator[PayPal]:
        """A PayPal client with short time limits."""
        cache = RedisCache(redis_url)
        whose = replace(self.account(postback=postback), **account)
        opened = PayPal(whose, cache, pauses_s=(0.01, 0.02), read_s=read_s)
        try:
            yield opened
        finally:
            await opened.aclose()
            await cache.aclose()

    def post(self, path: str, body: Any = None) -> Any:
        answer = self.client.post(path, json=body if body is not None else {})
        answer.raise_for_status()
        return answer.json()

    def fault(self, on: str, kind: str, times: int = 1, seconds: float = 0.2) -> None:
        entry = {"on": on, "kind": kind, "times": times, "seconds": seconds}
        self.post("/simulator/faults", [entry])

    def forget_faults(self) -> None:
        self.client.delete("/simulator/faults")

    def approve(self, order_id: str) -> None:
        self.post(f"/simulator/orders/{order_id}/approve")

    def order(self, order_id: str) -> dict[str, Any]:
        """The order in the form of the PayPal API."""
        (order,) = self.orders([order_id])
        return order

    def orders(self, ids: list[str] | None = None) -> list[dict[str, Any]]:
        params = {"ids": ",".join(ids)} if ids else {}
        books: list[dict[str, Any]] = self.client.get("/simulator/books", params=params).json()
        return books

    def captures(self, order_id: str) -> list[dict[str, Any]]:
        payments = self.order(order_id)["purchase_units"][0].get("payments", {})
        entries: list[dict[str, Any]] = payments.get("captures", [])
        return entries

    def event_count(self) -> int:
        return len(self.app.state.paypal.store.events())

    def webhooks(self, after: int = 0) -> list[tuple[dict[str, str], bytes]]:
        """The headers and body of every later event, with a new signature."""
        events = self.client.get("/simulator/webhooks", params={"after": after}).json()
        return [(one["headers"], one["body"].encode()) for one in events]

    def pay_in_browser(self, approval_url: str) -> dict[str, list[str]]:
        """Submits the approval page; returns the query parameters of the redirect to the shop."""
        page = self.client.get(approval_url)
        assert page.status_code == 200 and page.text.count("<form") == 1
        token = page.text.split('name="token" value="')[1].split('"')[0]
        done = self.client.post("/checkoutnow", data={"token": token})
        assert done.status_code == 303
        return parse_qs(urlsplit(done.headers["location"]).query)


@pytest.fixture(scope="session")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """The simulator that all tests share; it keeps its events until a test reads them."""
    running = Simulator(tmp_path_factory.mktemp("paypal"))
    yield running
    running.client.close()
    running.stop()


@pytest.fixture(autouse=True)
def no_faults_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Removes the faults that a test has scripted, so that the next test does not meet them."""
    yield
    if "simulator" in request.fixturenames:
        running: Simulator = request.getfixturevalue("simulator")
        running.app.state.paypal.script.waiting.clear()
