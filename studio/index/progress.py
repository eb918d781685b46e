"""Progress of embedding: counts, rate and the time left, at most once a second."""

import time
from typing import Any

from studio.job_types import Progress

REPORT_S = 1.0
MAX_ERRORS = 1000


class ProgressMeter:
    """Reports how much is done, the rate since the first batch, and the time left."""

    def __init__(self, total: int, report: Progress | None) -> None:
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
        await self._report(done, self._total, self._message(done, now_s), **details)

    def _message(self, done: int, now_s: float) -> str:
        first_done, first_s = self._first or (0, now_s)
        if done == first_done or now_s == first_s:
            return "pictures embedded"
        rate = (done - first_done) / (now_s - first_s)
        left_s = (self._total - done) / rate
        return f"pictures embedded, {rate:.1f} images/s, {max(left_s, 0):.0f} s left"
