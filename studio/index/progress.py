"""Progress of long work on the index: who is told, and how often."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

REPORT_S = 1.0
MAX_ERRORS = 1000

Report = Callable[..., Awaitable[None] | None]
"""Called with the count of done items, the total and a message, and `errors` where there are new
ones; may be a coroutine function."""


async def report_to(report: Report | None, done: int, total: int, message: str) -> None:
    """Calls the report, if there is one."""
    if report is not None and (pending := report(done, total, message)) is not None:
        await pending


class ProgressMeter:
    """Reports how much is done, the rate since the first batch, and the time left."""

    def __init__(self, total: int, report: Report | None) -> None:
        self._total = total
        self._report = report
        self._first: tuple[int, float] | None = None
        self._reported_s = 0.0
        self._errors: list[dict[str, str]] = []

    async def update(
        self, errors: list[dict[str, str]], done: int, *, is_last: bool = False
    ) -> None:
        """Reports at most once a second, but always the last update."""
        now_s = time.monotonic()
        self._first = self._first or (done, now_s)
        self._errors += errors
        if self._report is None or (now_s - self._reported_s < REPORT_S and not is_last):
            return
        self._reported_s = now_s
        details: dict[str, Any] = {"errors": self._errors[:MAX_ERRORS]} if self._errors else {}
        self._errors = []
        pending = self._report(done, self._total, self._message(done, now_s), **details)
        if pending is not None:
            await pending

    def _message(self, done: int, now_s: float) -> str:
        first_done, first_s = self._first or (0, now_s)
        if done == first_done or now_s == first_s:
            return "pictures embedded"
        rate = (done - first_done) / (now_s - first_s)
        left_s = (self._total - done) / rate
        return f"pictures embedded, {rate:.1f} images/s, {max(left_s, 0):.0f} s left"
