"""The context of the current work: its request, its caller and its trace, across processes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from opentelemetry import context as spans
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from integrations.fair_semaphore import Caller
from studio.deadline import Deadline, current_deadline

OFFLINE = "offline"
"""The request id of work that no request has caused: the command line, the demo seed."""

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

    The deadline is not set: `studio.deadline.within` does that for the work of a single request.
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
