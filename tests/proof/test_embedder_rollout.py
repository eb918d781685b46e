"""`make proof`: a whole studio exchanges its embedder, and back, while 16 callers search."""

import asyncio
import itertools
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from local import running
from tests.support.cluster import WholeStudio
from tests.support.collector import Collector

pytestmark = [pytest.mark.proof, pytest.mark.timeout(900)]

CALLERS, SEARCHES = 16, 5000
ADMIN = {"email": "admin@demo.studio", "password": "studio-demo"}
PAUSE_S = 2.5
"""After each step, so that it has callers; a Gateway notices it within two seconds."""
WORDS = ("red", "striped", "dress", "navy", "jacket", "dotted", "skirt", "green", "coat", "shirt")


@pytest.fixture
def studio() -> Iterator[WholeStudio]:
    """The next embedder is the starter in another precision: its vectors differ a little."""
    with tempfile.TemporaryDirectory(prefix="studio-rollout-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        whole = WholeStudio(
            folder / "data", Collector(), STUDIO_EMBEDDER_NEXT_PRECISION="bf16",
            STUDIO_LIMIT_CV="100000",
        )  # fmt: skip
        yield whole
        whole.end()


class Searches:
    """Callers that search by words, by a product and by a picture until they are stopped."""

    def __init__(self, http: httpx.AsyncClient, products: list[dict[str, Any]]) -> None:
        self.statuses: Counter[int] = Counter()
        self.indexes: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.has_enough = asyncio.Event()
        self._http = http
        self._products = products
        self._numbers = itertools.count()
        self._callers = [asyncio.create_task(self._search()) for _ in range(CALLERS)]

    async def _ask(self) -> httpx.Response:
        number = next(self._numbers)
        product = self._products[number % len(self._products)]
        if number % 4 == 0:
            return await self._http.get(f"/api/search/similar/{product['id']}?topK=5")
        if number % 16 == 1:
            body = {"imageUrl": product["image"], "topK": 5}
            return await self._http.post("/api/search/image", json=body)
        words = f"{WORDS[number % 10]} {WORDS[number // 10 % 10]} {number % 500}"
        return await self._http.post("/api/search/text", json={"query": words, "topK": 5})

    async def _search(self) -> None:
        while True:
            answer = await self._ask()
            self.statuses[answer.status_code] += 1
            if self.statuses.total() >= SEARCHES:
                self.has_enough.set()
            if answer.status_code != 200 or len(answer.json()["results"]) != 5:
                self.wrong.append(f"{answer.url.path}: {answer.status_code} {answer.text[:300]}")
            else:
                self.indexes[answer.json()["indexVersion"]] += 1

    async def stop(self) -> None:
        for caller in self._callers:
            caller.cancel()
        results = await asyncio.gather(*self._callers, return_exceptions=True)
        errors = [one for one in results if not isinstance(one, asyncio.CancelledError)]
        self.wrong += map(repr, errors)


async def rebuild(http: httpx.AsyncClient, admin: dict[str, str]) -> str:
    """Runs a rebuild for the next embedder; returns its index version."""
    body = {"type": "rebuild-index", "payload": {"next": True}}
    job = (await http.post("/api/jobs", json=body, headers=admin)).json()["jobId"]
    until_s = time.monotonic() + 300
    while True:
        answer = (await http.get(f"/api/jobs/{job}", headers=admin)).json()
        if answer["state"] == "succeeded":
            return str(answer["result"]["version"])
        assert answer["state"] != "failed" and time.monotonic() < until_s, answer
        await asyncio.sleep(0.5)


async def operate(studio: WholeStudio, *words: str) -> None:
    """Runs a `studio` command, as an operator does."""
    done = await asyncio.to_thread(running.studio, studio.data_dir, *words)
    assert done.returncode == 0, done.stderr
    await asyncio.sleep(PAUSE_S)


async def exchange(studio: WholeStudio) -> Searches:
    async with httpx.AsyncClient(base_url=studio.url, timeout=60) as http:
        tokens = (await http.post("/api/auth/login", json=ADMIN)).json()
        admin = {"Authorization": f"Bearer {tokens['accessToken']}"}
        products = (await http.get("/api/catalog/products?limit=100")).json()["items"]
        (former,) = (
            row["version"]
            for row in (await http.get("/api/admin/index/versions", headers=admin)).json()["items"]
            if row["status"] == "active"
        )
        searches = Searches(http, products)
        try:
            fresh = await rebuild(http, admin)
            for share in ("0.1", "0.5", "1"):
                await operate(studio, "models", "share", "embedder", share)
            await operate(studio, "models", "back", "embedder")
            for version in (fresh, former, fresh):
                await operate(studio, "index", "activate", version)
                searches.indexes.clear()
                await asyncio.sleep(1)
                assert set(searches.indexes) == {version}
            await operate(studio, "models", "finish", "embedder")
            async with asyncio.timeout(300):
                await searches.has_enough.wait()
        finally:
            await searches.stop()
        health = (await http.get("/api/health")).json()["services"]
        assert health["rec"]["status"] == "ok", health
    return searches


def test_the_embedder_is_exchanged_and_taken_back_without_a_failed_search(
    studio: WholeStudio,
) -> None:
    searches = asyncio.run(exchange(studio))
    print(f"\n{CALLERS} callers: {dict(searches.statuses)}, wrong {len(searches.wrong)}")  # noqa: T201
    assert searches.wrong == []
    assert set(searches.statuses) == {200} and searches.statuses.total() >= SEARCHES
