"""Callers that go on while servers are stopped and started: what they hear, and what is true."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.fakes import PASSWORD, picture

RECOVERY_S = 60.0
"""A safety net, not a measurement: long before, the figures are printed."""
PICTURE = picture("navy")
FIXED = {"query": "red dress", "topK": 5, "filters": {"category": "fixed"}}


@dataclass
class Told:
    """What callers were told; `kept` is what the studio said it has kept."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    kept: dict[str, list[Any]] = field(
        default_factory=lambda: {"account": [], "product": [], "file": [], "deleted": []}
    )
    recovered_s: list[float] = field(default_factory=list)

    def add(self, what: str, answer: httpx.Response, *expected: int) -> bool:
        """Whether it was done; anything but that, or a problem that says when to come again, is
        wrong.
        """
        status = answer.status_code
        self.statuses[what, status] += 1
        if status in expected:
            return True
        is_problem = answer.headers.get("content-type") == "application/problem+json"
        in_time = status == 504 or int(answer.headers.get("retry-after", 0)) > 0
        document = answer.json() if is_problem else {}
        is_told = document.get("status") == status and len(document.get("detail", "")) > 10
        if status not in {503, 504} or not (is_told and in_time):
            self.wrong.append(f"{what}: {status} {answer.text[:300]}")
        return False


class Callers:
    """Several of each kind, each doing one thing after the other until told to end."""

    def __init__(self, client: httpx.AsyncClient, merchant: dict[str, str]) -> None:
        self.told = Told()
        self._client = client
        self._merchant = merchant
        self._numbers = itertools.count()
        self._expected: list[tuple[str, float]] = []
        self.file_id = ""

    async def prepare(self, products: int = 6) -> None:
        """A picture, and products whose order in a search never changes from now on."""
        self.file_id = await self.upload()
        for number in range(products):
            body = self.product(f"Red dress {number}", "fixed")
            path = f"/api/catalog/products/fixed-{number}"
            answer = await self._client.put(path, json=body, headers=self._merchant)
            assert answer.status_code == 201, answer.text
        until_s = time.monotonic() + 20
        while len(self._expected) < 5:
            answer = await self._client.post("/api/search/text", json=FIXED)
            if answer.status_code == 200:
                self._expected = results_of(answer)
            assert time.monotonic() < until_s, answer.text
            await asyncio.sleep(0.1)

    def product(self, title: str, category: str) -> dict[str, Any]:
        return {
            "title": title, "category": category, "price": "9.50", "currency": "EUR",
            "inStock": True, "fileId": self.file_id,
        }  # fmt: skip

    async def upload(self) -> str:
        """presign, PUT, complete; empty where one of them was refused."""
        asked = {
            "filename": "x", "contentType": "image/jpeg", "sizeBytes": len(PICTURE),
            "purpose": "product",
        }  # fmt: skip
        path = "/api/files/presign"
        made = await self._client.post(path, json=asked, headers=self._merchant)
        if not self.told.add("presign", made, 201):
            return ""
        receipt = made.json()
        try:
            put = await self._client.put(
                receipt["url"], content=PICTURE, headers=receipt["headers"]
            )
        except httpx.TransportError:  # the store's own address, which is down
            return ""
        if put.status_code not in {201, 503}:
            self.told.wrong.append(f"upload: {put.status_code} {put.text[:200]}")
        if put.status_code != 201:
            return ""
        path = f"/api/files/{receipt['fileId']}/complete"
        done = await self._client.post(path, headers=self._merchant)
        if not self.told.add("complete", done, 200):
            return ""
        self.told.kept["file"].append(receipt["fileId"])
        return str(receipt["fileId"])

    async def register(self) -> None:
        email = f"caller-{next(self._numbers)}@example.com"
        body = {"email": email, "password": PASSWORD}
        answer = await self._client.post("/api/auth/register", json=body)
        if self.told.add("register", answer, 201):
            self.told.kept["account"].append(email)

    async def put_product(self) -> None:
        number = next(self._numbers)
        path = f"/api/catalog/products/p-{number}"
        body = self.product(f"Thing {number}", "other")
        answer = await self._client.put(path, json=body, headers=self._merchant)
        if not self.told.add("put", answer, 201):
            return
        if number % 3:
            self.told.kept["product"].append(f"p-{number}")
            return
        answer = await self._client.delete(path, headers=self._merchant)
        if self.told.add("delete", answer, 204):
            self.told.kept["deleted"].append(f"p-{number}")

    async def search(self) -> None:
        answer = await self._client.post("/api/search/text", json=FIXED)
        if self.told.add("search", answer, 200) and results_of(answer) != self._expected:
            self.told.wrong.append(f"search: {results_of(answer)}, not {self._expected}")

    async def look_at_itself(self) -> None:
        answer = await self._client.get("/api/auth/me", headers=self._merchant)
        self.told.add("me", answer, 200)

    def kinds(self) -> list[Callable[[], Awaitable[object]]]:
        """What callers do."""
        return [self.upload, self.register, self.put_product, self.search, self.look_at_itself]

    async def run(self, ended: asyncio.Event, *, each: int = 2, pause_s: float = 0.02) -> None:
        """All at once, until told to end."""

        async def repeat(deed: Callable[[], Awaitable[object]]) -> None:
            while not ended.is_set():
                await deed()
                await asyncio.sleep(pause_s)

        await asyncio.gather(*(repeat(deed) for deed in self.kinds() for _ in range(each)))

    async def recover(self) -> None:
        """Until everything works again, by itself."""
        began_s = time.monotonic()
        while True:
            before = self.told.statuses.copy()
            for deed in self.kinds():
                await deed()
            new = self.told.statuses - before
            if all(status < 300 for _, status in new):
                break
            assert time.monotonic() - began_s < RECOVERY_S, new
            await asyncio.sleep(0.1)
        self.told.recovered_s.append(round(time.monotonic() - began_s, 1))

    async def check_kept(self) -> None:
        """Everything that was acknowledged is there, whole; what was deleted is not."""
        kept, lost = self.told.kept, []
        for file_id in kept["file"]:
            answer = await self._client.get(f"/api/files/{file_id}", headers=self._merchant)
            data = await self._client.get(answer.json()["readUrl"]) if answer.is_success else answer
            if data.content != PICTURE:
                lost.append(f"file {file_id}: {answer.text[:100]}")
        for product_id in kept["product"]:
            answer = await self._client.get(f"/api/catalog/products/{product_id}")
            if answer.status_code != 200:
                lost.append(f"product {product_id}")
        for product_id in kept["deleted"]:
            answer = await self._client.get(f"/api/catalog/products/{product_id}")
            if answer.status_code != 404:
                lost.append(f"deletion of {product_id}")
        for email in kept["account"]:
            body = {"email": email, "password": PASSWORD}
            if (await self._client.post("/api/auth/register", json=body)).status_code != 409:
                lost.append(f"account {email}")
        assert not lost, lost[:10]


def results_of(answer: httpx.Response) -> list[tuple[str, float]]:
    return [(one["id"], one["score"]) for one in answer.json()["results"]]


@dataclass(frozen=True)
class Server:
    """Something of the user's that can be stopped, and started again with all its data."""

    name: str
    stop: Callable[[], object]
    start: Callable[[], object]


async def interrupt(callers: Callers, servers: list[Server], *, down_s: float) -> None:
    """Each in turn: stopped under load, away for a while, started, and everything works again."""
    for server in servers:
        ended = asyncio.Event()
        running = asyncio.create_task(callers.run(ended))
        await asyncio.sleep(0.5)
        await asyncio.to_thread(server.stop)
        await asyncio.sleep(down_s)
        await asyncio.to_thread(server.start)
        await asyncio.sleep(0.5)
        ended.set()
        await running
        await callers.recover()
    assert not callers.told.wrong, callers.told.wrong[:5]
    await callers.check_kept()
