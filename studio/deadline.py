"""The deadline of the current work: the caller's or its route's; it travels with every call."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from errors import DeadlinePassed

COMMIT_GRACE_S = 1.0
"""The least time that a request has after a commit, to report what it has written."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Deadline:
    """A moment on the monotonic clock of this process.

    It is pickled as the time that remains, because the clocks of two machines differ; the time on
    the network is not counted.
    """

    at_s: float

    @classmethod
    def after(cls, remaining_s: float) -> Self:
        """The deadline that many seconds from now."""
        return cls(time.monotonic() + remaining_s)

    @property
    def remaining_s(self) -> float:
        """The seconds that remain; negative after the deadline."""
        return self.at_s - time.monotonic()

    def check(self) -> None:
        """Checks that time remains.

        Raises:
            DeadlinePassed: it does not.
        """
        if self.remaining_s <= 0:
            raise DeadlinePassed("the deadline of this request has passed")

    def __reduce__(self) -> tuple[Any, tuple[float]]:
        return type(self).after, (self.remaining_s,)


@dataclass(frozen=True)
class _Bound:
    """A deadline, and the timer that cancels the current work when it passes."""

    deadline: Deadline
    timer: asyncio.Timeout


_bound: ContextVar[_Bound | None] = ContextVar("bound", default=None)


def current_deadline() -> Deadline | None:
    """The deadline of the current task; None where there is none, as in jobs."""
    bound = _bound.get()
    return None if bound is None else bound.deadline


@asynccontextmanager
async def within(deadline: Deadline | None) -> AsyncIterator[None]:
    """Cancels the block when the deadline passes; None does not bound it.

    Queues drop an entry whose caller is cancelled, so nothing more is computed for it.

    Raises:
        DeadlinePassed: the deadline has passed, before the block or in it.
    """
    if deadline is None:
        yield
        return
    deadline.check()
    timer = asyncio.timeout(deadline.remaining_s)
    token = _bound.set(_Bound(deadline, timer))
    try:
        async with timer:
            yield
    except TimeoutError:
        if timer.expired():
            raise DeadlinePassed("the deadline of this request has passed") from None
        raise
    finally:
        _bound.reset(token)


@contextmanager
def committing() -> Iterator[None]:
    """Suspends the deadline in the block, and leaves `COMMIT_GRACE_S` after it.

    A commit that is cancelled may have happened or not. With this, a request reports what it has
    written even if its deadline passes during the commit.
    """
    bound = _bound.get()
    if bound is None or not _reschedule(bound.timer, None):
        yield
        return
    try:
        yield
    finally:
        remaining_s = max(bound.deadline.remaining_s, COMMIT_GRACE_S)
        _reschedule(bound.timer, asyncio.get_running_loop().time() + remaining_s)


def shared_task(work: Coroutine[Any, Any, Result], *, name: str) -> asyncio.Task[Result]:
    """Starts work that several callers wait for; the deadline of the first does not bound it."""
    token = _bound.set(None)
    try:
        return asyncio.create_task(work, name=name)
    finally:
        _bound.reset(token)


def _reschedule(timer: asyncio.Timeout, when_s: float | None) -> bool:
    """Moves a timer; returns False if it has expired, or if its block has ended."""
    try:
        timer.reschedule(when_s)
    except RuntimeError:
        return False
    return True
