"""A value that is read now and then, behind the requests that use it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Generic, TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError

from errors import StudioError

WAIT_S = 1.0
"""Requests wait for this time for the first value, or rather than use one that is too old."""

Value = TypeVar("Value")

log = structlog.get_logger("studio.search")


class Refreshed(Generic[Value]):
    """The result of `read`; it is read again by the first request after `fresh_s`."""

    def __init__(
        self,
        name: str,
        read: Callable[[], Awaitable[Value]],
        initial: Value,
        *,
        fresh_s: float,
        stale_s: float,
    ) -> None:
        """`initial` stands for the value until it has been read; `stale_s`: it is then too old."""
        self._name = name
        self._read = read
        self._value = initial
        self._fresh_s = fresh_s
        self._stale_s = stale_s
        self._read_at_s = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._is_expired = False

    async def value(self) -> Value:
        """The value, at most `stale_s` old where it can be read within a second."""
        value = self.latest()
        age_s = time.monotonic() - self._read_at_s
        if age_s > self._stale_s and self._reading is not None:
            await asyncio.wait({self._reading}, timeout=WAIT_S)
            return self._value
        return value

    def latest(self) -> Value:
        """The last value that was read, without waiting for a new one."""
        age_s = time.monotonic() - self._read_at_s
        is_due = age_s > self._fresh_s or self._is_expired
        if is_due and (self._reading is None or self._reading.done()):
            # A context of its own: the deadline of the request that happens to start it is no
            # limit for the others.
            self._reading = asyncio.create_task(self._refresh(), name=self._name, context=Context())
        return self._value

    def expire(self) -> None:
        """Lets the next request start to read a new value."""
        self._is_expired = True

    async def aclose(self) -> None:
        """Ends a read that is under way."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _refresh(self) -> None:
        started_s = time.monotonic()
        self._is_expired = False
        try:
            self._value = await self._read()
        except (StudioError, SQLAlchemyError, ValueError) as error:
            log.warning("search.not_refreshed", value=self._name, reason=str(error))
        finally:
            self._read_at_s = started_s
