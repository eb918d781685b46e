"""Callers that keep sending while servers stop and start, and checks of what they receive."""

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
"""An upper limit, not a measurement; recovery is normally much faster."""
PICTURE = picture("navy")
FIXED = {"query": "red dress", "topK": 5, "filters": {"category": "fixed"}}


@dataclass
class CallerLog:
    """The responses to callers.

    Attributes:
        wrong: descriptions of responses that callers must not get.
        acknowledged: what the studio has confirmed as stored or deleted, by kind.
        tolerated: statuses that are not counted as wrong, beside 503 and 504 with an explanation.
        success_s: when each operation last succeeded, by `time.monotonic`.
        failure_s: when any operation last failed.
    """

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    acknowledged: dict[str, list[Any]] = field(
        default_factory=lambda: {"account": [], "product": [], "file": [], "deleted": []}
    )
    recovered_s: list[float] = field(default_factory=list)
    tolerated: set[int] = field(default_factory=set)
    success_s: dict[str, float] = field(default_factory=dict)
    failure_s: float = 0.0

    def add(self, what: str, answer: httpx.Response, *expected: int) -> bool:
        """Counts a response. Returns whether it is a success.

        Other responses are wrong, except a 503 or 504 with a problem document that says when to
        try again.
        """
        status = answer.status_code
        self.statuses[what, status] += 1
        if status in expected:
            self.success_s[what] = time.monotonic()
            return True
        self.failure_s = time.monotonic()
        if status in self.tolerated:
            return False
        is_problem = answer.headers.get("content-type") == "application/problem+json"
        has_retry = status == 504 or int(answer.headers.get("retry-after", 0)) > 0
        document = answer.json() if is_problem else {}
        is_explained = document.get("status") == status and len(document.get("detail", "")) > 10
        if status not in {503, 504} or not (is_explained and has_retry):
            self.wrong.append(f"{what}: {status} {answer.text[:300]}")
        return False


class Callers:
    """Several callers of each kind, each of which repeats one operation until the end."""

    def __init__(self, client: httpx.AsyncClient, merchant: dict[str, str]) -> None:
        self.log = CallerLog()
        self._client = client
        self._merchant = merchant
        self._numbers = itertools.count()
        self._expected: list[tuple[str, float]] = []
        self.file_id = ""

    async def prepare(self, products: int = 6) -> None:
        """Uploads a picture, and inserts products whose order in a search never changes."""
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
        """Presigns, uploads and completes a file. Returns its id; empty if a step was refused."""
        body = {
            "filename": "x", "contentType": "image/jpeg", "sizeBytes": len(PICTURE),
            "purpose": "product",
        }  # fmt: skip
        path = "/api/files/presign"
        response = await self._client.post(path, json=body, headers=self._merchant)
        if not self.log.add("presign", response, 201):
            return ""
        receipt = response.json()
        try:
            put = await self._client.put(
                receipt["url"], content=PICTURE, headers=receipt["headers"]
            )
        except httpx.TransportError:  # the store itself is down
            return ""
        if put.status_code not in {201, 503}:
            self.log.wrong.append(f"upload: {put.status_code} {put.text[:200]}")
        if put.status_code != 201:
            return ""
        path = f"/api/files/{receipt['fileId']}/complete"
        done = await self._client.post(path, headers=self._merchant)
        if not self.log.add("complete", done, 200):
            return ""
        self.log.acknowledged["file"].append(receipt["fileId"])
        return str(receipt["fileId"])

    async def register(self) -> None:
        email = f"caller-{next(self._numbers)}@example.com"
        body = {"email": email, "password": PASSWORD}
        answer = await self._client.post("/api/auth/register", json=body)
        if self.log.add("register", answer, 201):
            self.log.acknowledged["account"].append(email)

    async def put_product(self) -> None:
        number = next(self._numbers)
        path = f"/api/catalog/products/p-{number}"
        body = self.product(f"Thing {number}", "other")
        answer = await self._client.put(path, json=body, headers=self._merchant)
        if not self.log.add("put", answer, 201):
            return
        if number % 3:
            self.log.acknowledged["product"].append(f"p-{number}")
            return
        answer = await self._client.delete(path, headers=self._merchant)
        if self.log.add("delete", answer, 204):
            self.log.acknowledged["deleted"].append(f"p-{number}")

    async def search(self) -> None:
        answer = await self._client.post("/api/search/text", json=FIXED)
        if self.log.add("search", answer, 200) and results_of(answer) != self._expected:
            self.log.wrong.append(f"search: {results_of(answer)}, not {self._expected}")

    async def look_at_itself(self) -> None:
        answer = await self._client.get("/api/auth/me", headers=self._merchant)
        self.log.add("me", answer, 200)

    def kinds(self) -> list[Callable[[], Awaitable[object]]]:
        """The operations of callers."""
        return [self.upload, self.register, self.put_product, self.search, self.look_at_itself]

    async def run(self, ended: asyncio.Event, *, per_kind: int = 2, pause_s: float = 0.02) -> None:
        """Runs all callers concurrently until the event is set."""

        async def repeat(operation: Callable[[], Awaitable[object]]) -> None:
            while not ended.is_set():
                await operation()
                await asyncio.sleep(pause_s)

        await asyncio.gather(
            *(repeat(operation) for operation in self.kinds() for _ in range(per_kind))
        )

    async def recover(self) -> None:
        """Waits until every operation works again."""
        began_s = time.monotonic()
        while True:
            before = self.log.statuses.copy()
            for operation in self.kinds():
                await operation()
            new = self.log.statuses - before
            if all(status < 300 for _, status in new):
                break
            assert time.monotonic() - began_s < RECOVERY_S, new
            await asyncio.sleep(0.1)
        self.log.recovered_s.append(round(time.monotonic() - began_s, 1))

    async def check_acknowledged(self) -> None:
        """Asserts that everything acknowledged is stored or deleted."""
        acknowledged, lost = self.log.acknowledged, []
        for file_id in acknowledged["file"]:
            answer = await self._client.get(f"/api/files/{file_id}", headers=self._merchant)
            data = await self._client.get(answer.json()["readUrl"]) if answer.is_success else answer
            if data.content != PICTURE:
                lost.append(f"file {file_id}: {answer.text[:100]}")
        for product_id in acknowledged["product"]:
            answer = await self._client.get(f"/api/catalog/products/{product_id}")
            if answer.status_code != 200:
                lost.append(f"product {product_id}")
        for product_id in acknowledged["deleted"]:
            answer = await self._client.get(f"/api/catalog/products/{product_id}")
            if answer.status_code != 404:
                lost.append(f"deletion of {product_id}")
        for email in acknowledged["account"]:
            body = {"email": email, "password": PASSWORD}
            if (await self._client.post("/api/auth/register", json=body)).status_code != 409:
                lost.append(f"account {email}")
        assert not lost, lost[:10]


def results_of(answer: httpx.Response) -> list[tuple[str, float]]:
    return [(hit["id"], hit["score"]) for hit in answer.json()["results"]]


@dataclass(frozen=True)
class Server:
    """A server that can be stopped, and started again with all its data."""

    name: str
    stop: Callable[[], object]
    start: Callable[[], object]


async def interrupt(callers: Callers, servers: list[Server], *, down_s: float) -> None:
    """Stops each server in turn under load, starts it again, and waits until everything works."""
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
    assert not callers.log.wrong, callers.log.wrong[:5]
    await callers.check_acknowledged()
