"""Structured logs: one JSON object a line, written in batches instead of one flush a line."""

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
"""Signatures in URLs, passwords in servers' URLs, and tokens, anywhere in a line.

Matching is linear: every alternative begins with fixed letters, and the text after them is consumed
or ends at the next place where an alternative could begin.
"""
MAX_VALUE_CHARS = 2_000
MAX_TRACEBACK_CHARS = 20_000
DETAILS = re.compile(r"(DETAIL: +)(?:[^\n\\]|\\(?!n))*")
"""PostgreSQL's DETAIL up to its line's end, which a `repr` may have written as `\\n`."""
HIDDEN = "[hidden]"


class BatchHandler(logging.Handler):
    """Collects lines; writes them at `BATCH_LINES`, at a warning or an error, and at `flush`.

    is_flushed: a task of this process calls `flush` regularly.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self.is_flushed = False
        self._stream = stream
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Warnings and errors are written at once: the process may be about to die."""
        self._lines.append(scrub(self.format(record)))
        if record.levelno >= logging.WARNING or len(self._lines) >= BATCH_LINES:
            self.flush()

    def format(self, record: logging.LogRecord) -> str:
        """The line; structlog's JSON contains the traceback already."""
        message = record.getMessage()
        return message if message.startswith("{") else super().format(record)

    def flush(self) -> None:
        """Writes the collected lines with one write and one flush."""
        lines, self._lines = self._lines, []
        if lines:
            stream = self._stream or sys.stderr
            with suppress(ValueError):  # the stream is closed already at exit
                stream.write("\n".join(lines) + "\n")
                stream.flush()


def add_request_id(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Adds the id of the request."""
    event.setdefault("request_id", current_request_id())
    return event


def scrub(line: str) -> str:
    """Hides secrets inside the texts of a line; `hide_secrets` hides values by their keys."""
    return SECRETS.sub(lambda match: (match["name"] or "") + HIDDEN, line)


def hide_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hides values whose keys are names of secrets."""
    for key in SECRET_KEYS & event.keys():
        event[key] = HIDDEN
    return event


def cut_long(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Cuts long texts, such as a caller's input, in the middle; tracebacks may be longer."""
    for key, value in event.items():
        limit = MAX_TRACEBACK_CHARS if key == "exception" else MAX_VALUE_CHARS
        if isinstance(value, str) and len(value) > limit:
            half = limit // 2
            event[key] = f"{value[:half]} [{len(value) - limit} characters] {value[-half:]}"
    return event


def hide_rows(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hides the values of rows that PostgreSQL repeats in its errors."""
    for key, value in event.items():
        if isinstance(value, str) and "DETAIL: " in value:
            event[key] = DETAILS.sub(rf"\1{HIDDEN}", value)
    return event


def configure_logging(stream: TextIO | None = None) -> BatchHandler:
    """Sends the studio's loggers through one BatchHandler; another call returns the same one."""
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


async def flush_often(handler: BatchHandler) -> None:
    """Flushes the handler every `FLUSH_EVERY_S`, until it is cancelled."""
    while True:
        await asyncio.sleep(FLUSH_EVERY_S)
        handler.flush()


@asynccontextmanager
async def flushing(handler: BatchHandler) -> AsyncIterator[None]:
    """Flushes the handler regularly while the block runs, and at its end."""
    task = None if handler.is_flushed else asyncio.create_task(flush_often(handler))
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        handler.flush()
