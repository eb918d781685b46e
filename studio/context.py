"""Which request is being served, for every row, log line and span it causes, in any process."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from opentelemetry import context as spans
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from integrations.shares import Caller

OFFLINE = "offline"
"""Stands where no request is the cause: the command line, the demo seed."""

_request_id: ContextVar[str] = ContextVar("request_id", default="")
_caller: ContextVar[Caller | None] = ContextVar("caller", default=None)
_propagator = TraceContextTextMapPropagator()


class _Transport:
    """Where a process that is called by another one finds the caller's request id."""

    request_id: Callable[[], str] = staticmethod(lambda: "")


def take_request_ids_from(transport: Callable[[], str]) -> None:
    """What brought a call here knows its request id: asked where nothing nearer says it."""
    _Transport.request_id = staticmethod(transport)


def current_request_id() -> str:
    """The id of the request (or job) that this task works for."""
    return _request_id.get() or _Transport.request_id() or OFFLINE


@contextmanager
def serving(request_id: str) -> Iterator[None]:
    """Everything in the block, and every task started in it, works for this request."""
    token = _request_id.set(request_id)
    try:
        yield
    finally:
        _request_id.reset(token)


def current_caller() -> Caller | None:
    """Whose request this task works for, as limits count it; None for the studio's own work."""
    return _caller.get()


@contextmanager
def acting_for(caller: Caller) -> Iterator[None]:
    """Everything in the block, and every task started in it, is this caller's work."""
    token = _caller.set(caller)
    try:
        yield
    finally:
        _caller.reset(token)


@dataclass(frozen=True)
class Origin:
    """What a piece of work carries along, wherever it is done: its request, and its span.

    `traceparent` as in W3C Trace Context; None where no spans are recorded.
    """

    request_id: str = OFFLINE
    traceparent: str | None = None


def current_traceparent() -> str | None:
    """The span that this task works in, for another process; None where none is recorded."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent")


def current_origin() -> Origin:
    """Of this task."""
    return Origin(current_request_id(), current_traceparent())


@contextmanager
def continuing(origin: Origin) -> Iterator[None]:
    """The block works for the request, and its spans hang below the span, that it came from."""
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
    """A named step of the trace that this task is part of; nothing where it is part of none."""
    if not trace.get_current_span().get_span_context().is_valid:
        yield trace.INVALID_SPAN
        return
    told = {"request_id": current_request_id(), **attributes}
    with trace.get_tracer("studio").start_as_current_span(name, attributes=told) as made:
        yield made
