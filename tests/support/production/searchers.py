"""Threads that search a production cluster without a pause, and judge every answer."""

import threading
import time
from collections import Counter

import httpx

from tests.support.production.shop import Shop

CALLERS = 4
REFUSED = "refused"


class Searchers:
    """Threads that search by words and by photo without a pause, and count the answers.

    wrong: answers that a caller must not get: other results, or a 503 that does not say when to
    come again.
    """

    def __init__(self, url: str, shop: Shop) -> None:
        self.answers: Counter[int | str] = Counter()
        self.wrong: list[str] = []
        self._url, self._shop = url, shop
        self._ended = threading.Event()
        self._expected = [one["id"] for one in shop.find_by_text()["results"]]
        self._threads = [threading.Thread(target=self._run) for _ in range(CALLERS)]

    def __enter__(self) -> "Searchers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        body = {"query": "in stock", "topK": 50}
        with httpx.Client(base_url=self._url, timeout=60) as http:
            while not self._ended.is_set():
                try:
                    answer = http.post("/api/search/text", json=body)
                except httpx.TransportError:
                    self.answers[REFUSED] += 1
                    time.sleep(0.2)
                    continue
                self.answers[answer.status_code] += 1
                self._judge(answer)

    def _judge(self, answer: httpx.Response) -> None:
        if answer.status_code == 200:
            if [one["id"] for one in answer.json()["results"]] != self._expected:
                self.wrong.append(answer.text[:300])
        elif answer.status_code not in (503, 504) or (
            answer.status_code == 503 and "retry-after" not in answer.headers
        ):
            self.wrong.append(f"{answer.status_code} {answer.text[:300]}")
