"""Mixed load on a production cluster, of which any part may be killed."""

import asyncio
import hashlib
import itertools
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from tests.support.outages import FIXED, Callers, results_of
from tests.support.production.shop import Headers, Shop

LOST = 444
"""nginx's number for a connection that was closed without an answer; a killed Gateway's."""
SILENCE = 598
"""No answer in time: a caller must always get one."""
JOB_S = 180.0


class LostConnections(httpx.AsyncHTTPTransport):
    """A transport that answers in place of a Gateway that refuses a connection or loses it."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await super().handle_async_request(request)
        except httpx.TimeoutException:
            return httpx.Response(SILENCE, text="no answer in time")
        except httpx.TransportError as error:
            return httpx.Response(LOST, text=repr(error))


class ProductionCallers(Callers):
    """Callers of every deployment, each of which repeats one operation at its own pace.

    A merchant searches, scores, uploads and changes the catalogue; a customer is cut out and tries
    on at once. The merchant's try-ons are jobs: a customer's own would be made in the order in
    which they were accepted, before those at once.

    shop, merchant_shop: the customer's pictures, and the merchant's.
    """

    def __init__(self, client: httpx.AsyncClient, shop: Shop, merchant_shop: Shop) -> None:
        super().__init__(client, shop.people["merchant"])
        self.log.tolerated = {LOST}
        self.jobs: dict[str, str] = {}
        """The kind of each accepted job by its id."""
        self._customer = shop.people["customer"]
        self._shops = {"sync": shop, "queued": merchant_shop}
        self._right: dict[str, Any] = {}
        self._job_numbers = itertools.count()

    async def search_by_photo(self) -> None:
        body = {"fileId": self.file_id, "topK": 5, "filters": FIXED["filters"]}
        answer = await self._post("/api/search/image", self._merchant, body)
        if self.log.add("search by photo", answer, 200):
            self._compare("search by photo", [hit for hit, _ in results_of(answer)])

    async def score(self) -> None:
        """The Regressor's refusal: nothing is trained on this embedder's vectors."""
        body = {"productId": "fixed-0"}
        answer = await self._post("/api/analytics/predict", self._merchant, body)
        self.log.add("score", answer, 409)

    async def cut_out(self) -> None:
        body = {"fileId": self._shops["sync"].pictures["person"][0], "target": "person"}
        answer = await self._post("/api/cv/segmentation", self._customer, body)
        if self.log.add("cut out", answer, 200):
            await self._compare_picture("cut out", answer.json()["maskUrl"])

    async def try_on(self) -> None:
        answer = await self._ask_for_tryon("sync")
        if answer is not None and self.log.add("try on", answer, 200):
            await self._compare_picture("try-on", answer.json()["outputUrl"])

    async def queue_try_on(self) -> None:
        answer = await self._ask_for_tryon("queued")
        if answer is not None and self.log.add("queue try-on", answer, 202):
            self.jobs[answer.json()["jobId"]] = "try-on"

    async def import_product(self) -> None:
        """A file of one product; the job has imported it, or it is lost."""
        product_id = f"imported-{next(self._job_numbers)}"
        line = self.product("Imported", "other") | {"id": product_id}
        answer = await self._client.post(
            "/api/catalog/import", content=json.dumps(line) + "\n",
            headers=self._merchant | {"Content-Type": "application/x-ndjson"},
        )  # fmt: skip
        if self.log.add("import", answer, 202):
            self.jobs[answer.json()["jobId"]] = product_id

    async def _ask_for_tryon(self, mode: str) -> httpx.Response | None:
        """The answer; None where the pictures' URLs were refused."""
        shop, urls = self._shops[mode], []
        headers = shop.people["customer"]
        for name in ("person", "garment"):
            path = f"/api/files/{shop.pictures[name][0]}"
            answer = await self._client.get(path, headers=headers)
            if not self.log.add("file", answer, 200):
                return None
            urls.append(answer.json()["readUrl"])
        body = {
            "personUrl": urls[0], "garmentUrl": urls[1], "category": "upper", "seed": 3,
            "steps": 1, "mode": mode,
        }  # fmt: skip
        return await self._post("/api/cv/tryon", headers, body)

    async def _post(self, path: str, headers: Headers, body: dict[str, Any]) -> httpx.Response:
        return await self._client.post(path, json=body, headers=headers)

    async def _compare_picture(self, what: str, url: str) -> None:
        picture = await self._client.get(url)
        assert picture.status_code == 200, picture.text
        self._compare(what, hashlib.sha256(picture.content).hexdigest())

    def _compare(self, what: str, value: Any) -> None:
        """Every answer must be the same as the first one, which came before any kill."""
        if (right := self._right.setdefault(what, value)) != value:
            self.log.wrong.append(f"{what}: {value}, not {right}")

    def paces(self) -> dict[Callable[[], Awaitable[object]], float]:
        """The operations, each with the pause in seconds after it."""
        return {
            self.search: 0.2, self.search_by_photo: 0.5, self.look_at_itself: 0.5,
            self.score: 1, self.upload: 1, self.put_product: 1, self.register: 3,
            self.cut_out: 2, self.try_on: 3, self.queue_try_on: 12, self.import_product: 12,
        }  # fmt: skip

    def kinds(self) -> list[Callable[[], Awaitable[object]]]:
        return list(self.paces())

    async def run_at_their_pace(self, ended: asyncio.Event) -> None:
        """Runs one caller of each kind until the event is set."""

        async def repeat(operation: Callable[[], Awaitable[object]], pause_s: float) -> None:
            while not ended.is_set():
                await operation()
                await asyncio.sleep(pause_s)

        await asyncio.gather(*(repeat(*kind) for kind in self.paces().items()))

    def counts(self) -> dict[str, int]:
        """How much was acknowledged, by kind."""
        counts = {what: len(ids) for what, ids in self.log.acknowledged.items()}
        return counts | {"job": len(self.jobs)}

    async def check_jobs(self) -> None:
        """Asserts that every accepted job succeeds, with the right result."""
        for job_id, kind in self.jobs.items():
            job = await self._job_at_its_end(job_id)
            assert job["state"] == "succeeded", job
            if kind == "try-on":
                await self._compare_picture("try-on", job["result"]["outputUrl"])
            else:
                answer = await self._client.get(f"/api/catalog/products/{kind}")
                assert answer.status_code == 200, f"{kind} is lost: {job}"
        assert not self.log.wrong, self.log.wrong[:5]

    async def _job_at_its_end(self, job_id: str) -> dict[str, Any]:
        until_s = time.monotonic() + JOB_S
        while True:
            answer = await self._client.get(f"/api/jobs/{job_id}", headers=self._merchant)
            assert answer.status_code == 200, answer.text
            job: dict[str, Any] = answer.json()
            if job["state"] not in {"queued", "running"}:
                return job
            assert time.monotonic() < until_s, job
            await asyncio.sleep(0.5)
