"""Callers of every kind behind a balancer, who accept no failure."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable

import httpx

from tests.support.production.balancer import Balancer
from tests.support.production.shop import Shop

CALLERS = 4
PAUSE_S = 0.02
Ask = Callable[[httpx.Client, int], httpx.Response]


class MixedLoad:
    """Asks from its start to its end; use it as a context.

    good: the right answers by kind. failed: everything else, in words, a connection that was
    refused or cut included. jobs: ids of queued try-ons, which must succeed in the end.
    """

    def __init__(self, balancer: Balancer, shop: Shop) -> None:
        self.good: Counter[str] = Counter()
        self.failed: list[str] = []
        self.jobs: list[str] = []
        self.balancer, self.shop = balancer, shop
        self._expected = [one["id"] for one in shop.find_by_text()["results"]]
        self._kinds = self._list_kinds()
        self._started_s = time.monotonic()
        self._has_ended = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(CALLERS)]

    def __enter__(self) -> "MixedLoad":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._has_ended.set()
        for thread in self._threads:
            thread.join()

    @property
    def total(self) -> int:
        return self.good.total() + len(self.failed)

    @property
    def summary(self) -> str:
        return f"{self.total:,} requests {dict(self.good)}, {len(self.failed)} failed"

    def end(self, requests: int = 0) -> None:
        """Waits for that many requests and for all jobs so far."""
        while self.total < requests:
            time.sleep(0.5)
        self.shop.http.base_url = self.balancer.pick()
        for job in list(self.jobs):
            self.shop.finish(job, "customer")

    def require_no_failure(self) -> None:
        assert not self.failed, (len(self.failed), self.failed[:5])

    def _list_kinds(self) -> dict[str, tuple[int, Ask]]:
        """The requests, each with its weight."""
        shop, product = self.shop, self.shop.pictures["product"][0]
        products = list(shop.products)
        person, customer = shop.pictures["person"], shop.people["customer"]
        tryon = {"personUrl": person[1], "garmentUrl": shop.pictures["garment"][1], "mode": "auto",
                 "category": "upper", "seed": 3, "steps": 1}  # fmt: skip

        def post(path: str, **body: object) -> Ask:
            return lambda http, _: http.post(path, json=body, headers=customer)

        return {
            "text": (50, post("/api/search/text", query="in stock", topK=50)),
            "image": (20, post("/api/search/image", fileId=product, topK=5)),
            "similar": (10, lambda http, _: http.get("/api/search/similar/p-3?topK=5")),
            "product": (10, lambda http, n: http.get(products[n % len(products)])),
            "price": (6, lambda http, n: http.put(
                products[n % len(products)], headers=shop.people["merchant"],
                json=shop.products[products[n % len(products)]] | {"price": f"{n % 90 + 10}.00"},
            )),
            "mask": (3, post("/api/cv/segmentation", fileId=person[0], target="person")),
            "try-on": (1, post("/api/cv/tryon", **tryon)),
        }  # fmt: skip

    def _run(self, number: int) -> None:
        chance = random.Random(number)
        names, weights = list(self._kinds), [weight for weight, _ in self._kinds.values()]
        clients: dict[str, httpx.Client] = {}
        while not self._has_ended.is_set():
            url = self.balancer.pick()
            http = clients.setdefault(url, httpx.Client(base_url=url, timeout=90))
            (name,) = chance.choices(names, weights)
            self._ask(http, name, chance.randrange(1000))
            time.sleep(PAUSE_S)
        for http in clients.values():
            http.close()

    def _ask(self, http: httpx.Client, name: str, number: int) -> None:
        try:
            answer = self._kinds[name][1](http, number)
            problem = "" if self._is_good(name, answer) else f"{answer.status_code} {answer.text}"
        except httpx.TransportError as error:
            problem = repr(error)
        if problem:
            after_s = time.monotonic() - self._started_s
            self.failed.append(f"{after_s:.1f} s {http.base_url} {name}: {problem[:300]}")
        else:
            self.good[name] += 1

    def _is_good(self, name: str, answer: httpx.Response) -> bool:
        if answer.is_error:
            return False
        body = answer.json()
        if name == "text":
            return [one["id"] for one in body["results"]] == self._expected
        if name in ("image", "similar"):
            return bool(body["results"]) and (
                name == "similar" or body["results"][0]["id"] == "p-3"
            )
        if answer.status_code == 202:
            self.jobs.append(body["jobId"])
        return True
