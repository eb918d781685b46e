"""A small load balancer: asks every node whether its Gateway is ready, and picks one that is.

It has the numbers of a usual one, and repeats no request: what a node refuses, the caller gets.
"""

import itertools
import threading
from collections.abc import Sequence
from contextlib import suppress

import httpx

PROBE_S = 5.0
MAX_FAILURES = 2
"""Consecutive failed probes after which a node gets no callers; one good probe brings it back."""


class Balancer:
    """Use it as a context: the probes run inside of the block.

    urls: of port 8000 of every node; there need not be a Gateway on each.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self._failures = dict.fromkeys(urls, MAX_FAILURES)
        self._turns = itertools.count()
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Balancer":
        self._probe_all()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._has_ended.set()
        self._thread.join()

    @property
    def ready(self) -> list[str]:
        """The URLs of the nodes that get callers."""
        return [url for url, failures in self._failures.items() if failures < MAX_FAILURES]

    def pick(self) -> str:
        """The next node in turn; any one if none is ready, as balancers do."""
        urls = self.ready or list(self._failures)
        return urls[next(self._turns) % len(urls)]

    def _run(self) -> None:
        while not self._has_ended.wait(PROBE_S):
            self._probe_all()

    def _probe_all(self) -> None:
        for url in self._failures:
            is_ready = False
            with suppress(httpx.TransportError):
                is_ready = httpx.get(f"{url}/api/health/ready", timeout=4).status_code == 200
            self._failures[url] = 0 if is_ready else self._failures[url] + 1
