"""The context of the current work, across processes: its request, caller, trace and deadline."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from opentelemetry import context as spans
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from errors import DeadlinePassed
from integrations.fair_semaphore import Caller

OFFLINE = "offline"
"""The request id of work that no request has caused: the command line, the demo seed."""
COMMIT_GRACE_S = 1.0
"""The least time that a request has after a commit, to report what it has written."""

Result = TypeVar("Result")

_request_id: ContextVar[str] = ContextVar("request_id", default="")
_caller: ContextVar[Caller | None] = ContextVar("caller", default=None)
_propagator = TraceContextTextMapPropagator()


class _Transport:
    """Reads the request id that came with a call from another process."""

    request_id: Callable[[], str] = staticmethod(lambda: "")


def take_request_ids_from(transport: Callable[[], str]) -> None:
    """Sets the source of the request id for tasks that have none of their own."""
    _Transport.request_id = staticmethod(transport)


def current_request_id() -> str:
    """The id of the request or job that the current task works for."""
    return _request_id.get() or _Transport.request_id() or OFFLINE


@contextmanager
def serving(request_id: str) -> Iterator[None]:
    """Sets the request id in the block and in every task that is started in it."""
    token = _request_id.set(request_id)
    try:
        yield
    finally:
        _request_id.reset(token)


def current_caller() -> Caller | None:
    """The caller that limits count the current task for; None for the studio's own work."""
    return _caller.get()


@contextmanager
def acting_for(caller: Caller) -> Iterator[None]:
    """Sets the caller in the block and in every task that is started in it."""
    token = _caller.set(caller)
    try:
        yield
    finally:
        _caller.reset(token)


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


@dataclass(frozen=True)
class Origin:
    """The request, the span and the deadline of a piece of work; sent along to other processes.

    `traceparent` is as in W3C Trace Context; None where no spans are recorded.
    """

    request_id: str = OFFLINE
    traceparent: str | None = None
    deadline: Deadline | None = None


def current_traceparent() -> str | None:
    """The current span in the format for other processes; None where no spans are recorded."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent")


def current_origin() -> Origin:
    """The origin of the current task."""
    return Origin(current_request_id(), current_traceparent(), current_deadline())


@contextmanager
def continuing(origin: Origin) -> Iterator[None]:
    """Sets the request id of the origin in the block; its span is the parent of new spans.

    The deadline is not set: `within` does that for the work of a single request.
    """
    with serving(origin.request_id):
        if origin.traceparent is None:
            yield
            return
        token = spans.attach(_propagator.extract({"traceparent": origin.traceparent}))
        try:
            yield
        finally:
            spans.detach(token)


@contextmanager
def span(name: str, **attributes: str | int | float) -> Iterator[trace.Span]:
    """Records a span below the current one; does nothing where there is none."""
    if not trace.get_current_span().get_span_context().is_valid:
        yield trace.INVALID_SPAN
        return
    attributes = {"request_id": current_request_id(), **attributes}
    tracer = trace.get_tracer("studio")
    with tracer.start_as_current_span(name, attributes=attributes) as child:
        yield child
