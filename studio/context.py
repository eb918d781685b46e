"""The id of the request that is being served, for every row and log line it causes."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

OFFLINE = "offline"
"""Stands where no request is the cause: the command line, the demo seed."""

_request_id: ContextVar[str] = ContextVar("request_id", default=OFFLINE)


def current_request_id() -> str:
    """The id of the request (or job) that this task works for."""
    return _request_id.get()


@contextmanager
def serving(request_id: str) -> Iterator[None]:
    """Everything in the block, and every task started in it, works for this request."""
    token = _request_id.set(request_id)
    try:
        yield
    finally:
        _request_id.reset(token)
