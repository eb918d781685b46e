"""Structured log lines, one JSON object each, written in batches instead of one flush a line."""

import asyncio
import logging
import re
import sys
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager, suppress
from typing import Any, TextIO

import structlog

from studio.context import current_request_id

FLUSH_EVERY_S = 0.5
BATCH_LINES = 512
ROOT_LOGGER = "studio"
SECRET_KEYS = frozenset({"password", "token", "authorization", "cookie", "secret", "sig"})
SECRETS = re.compile(
    r"(?P<name>\bsig=|\bBearer |://[^\s:@/\"]*:(?=[^\s@/\"]+@))"
    r"[^\s&@\"'\\]+"
    r"|\beyJ[A-Za-z0-9_.-]{8,}"
)
"""Signatures in URLs, passwords of servers' URLs, and tokens, wherever in a line they stand.

Linear: every alternative begins with fixed letters, and what follows them is consumed, or ends at
the next place where one could begin.
"""
MAX_VALUE_CHARS = 2_000
MAX_TRACEBACK_CHARS = 20_000
DETAILS = re.compile(r"(DETAIL: +)(?:[^\n\\]|\\(?!n))*")
"""To the end of the line, also where a `repr` has spelled that end."""
HIDDEN = "[hidden]"


class BatchHandler(logging.Handler):
    """Keeps lines until there are many, one is an error, or `flush` is called."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = stream
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Warnings and errors are written at once: the process may be about to die."""
        self._lines.append(scrub(self.format(record)))
        if record.levelno >= logging.WARNING or len(self._lines) >= BATCH_LINES:
            self.flush()

    def format(self, record: logging.LogRecord) -> str:
        """The JSON of structlog holds the traceback already; a second one would break it."""
        message = record.getMessage()
        return message if message.startswith("{") else super().format(record)

    def flush(self) -> None:
        """Writes what waits with one write and one flush."""
        lines, self._lines = self._lines, []
        if lines:
            stream = self._stream or sys.stderr
            with suppress(ValueError):  # the stream was closed under us at exit
                stream.write("\n".join(lines) + "\n")
                stream.flush()


def add_request_id(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Every line says which request caused it."""
    event.setdefault("request_id", current_request_id())
    return event


def scrub(line: str) -> str:
    """The line without what opens something; a last net below `hide_secrets`."""
    return SECRETS.sub(lambda found: (found["name"] or "") + HIDDEN, line)


def hide_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A last net: values under the names of secrets never reach a log."""
    for key in SECRET_KEYS & event.keys():
        event[key] = HIDDEN
    return event


def cut_long(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """No caller's text fills a log, whatever quoted it; of a traceback both ends are left."""
    for key, value in event.items():
        limit = MAX_TRACEBACK_CHARS if key == "exception" else MAX_VALUE_CHARS
        if isinstance(value, str) and len(value) > limit:
            half = limit // 2
            event[key] = f"{value[:half]} [{len(value) - limit} characters] {value[-half:]}"
    return event


def hide_rows(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """PostgreSQL's errors repeat values of rows, such as an address that is taken."""
    for key, value in event.items():
        if isinstance(value, str) and "DETAIL: " in value:
            event[key] = DETAILS.sub(rf"\1{HIDDEN}", value)
    return event


def configure_logging(stream: TextIO | None = None) -> BatchHandler:
    """Sends the studio's loggers through one batching handler; calling again changes nothing."""
    logger = logging.getLogger(ROOT_LOGGER)
    for handler in logger.handlers:
        if isinstance(handler, BatchHandler):
            return handler
    handler = BatchHandler(stream)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso"),
            add_request_id,
            hide_secrets,
            structlog.processors.format_exc_info,
            hide_rows,
            cut_long,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    return handler


@asynccontextmanager
async def flushing(handler: BatchHandler) -> AsyncIterator[None]:
    """While the block runs, no line waits longer than `FLUSH_EVERY_S`."""

    async def flush_often() -> None:
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            handler.flush()

    task = asyncio.create_task(flush_often())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        handler.flush()
