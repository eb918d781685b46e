"""Decides what follows a failed attempt: another attempt after a delay, or a dead letter."""

import random
from dataclasses import dataclass

from errors import StudioError

FIRST_S = 2.0
LONGEST_S = 600.0
MAX_CRASHES = 3
SURPRISE = "the job failed unexpectedly; its log says why"
CRASHED = "the worker ended while it ran the job"
LATE = "the job took longer than its type allows"


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential backoff with jitter and a limit; crashes of the worker have a lower limit."""

    first_s: float = FIRST_S
    longest_s: float = LONGEST_S
    max_crashes: int = MAX_CRASHES

    def after_error(self, error: BaseException, attempts: int, max_attempts: int) -> float | None:
        """Seconds until the next attempt; None if it would fail again or no attempt is left."""
        if isinstance(error, StudioError) and not error.retryable:
            return None
        return self.backoff_s(attempts) if attempts < max_attempts else None

    def after_crash(self, crashes: int, attempts: int, max_attempts: int) -> float | None:
        """Like `after_error`, after a crash of the worker; `crashes` includes this crash."""
        if crashes >= self.max_crashes:
            return None
        return self.backoff_s(attempts) if attempts < max_attempts else None

    def backoff_s(self, attempts: int) -> float:
        """The delay before the next attempt doubles each time; jitter shortens it by up to half."""
        delay_s = min(self.longest_s, self.first_s * 2.0 ** min(attempts - 1, 30))
        return delay_s * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret


def reason(error: BaseException) -> str:
    """The error message that the job's owner gets."""
    return error.detail if isinstance(error, StudioError) else SURPRISE
