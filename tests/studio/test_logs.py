"""Log lines: batched, joined by request id, without secrets."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from studio.context import serving
from studio.logs import BATCH_LINES, BatchHandler, configure_logging, flushing


class CountingStream(io.StringIO):
    """Counts what a terminal would have to do."""

    def __init__(self) -> None:
        super().__init__()
        self.flushes = 0

    def flush(self) -> None:
        self.flushes += 1


@pytest.fixture
def stream() -> Iterator[CountingStream]:
    """The studio's loggers, writing here for one test."""
    logger = logging.getLogger("studio")
    before, logger.handlers = logger.handlers, []
    captured = CountingStream()
    configure_logging(captured)
    yield captured
    logger.handlers = before


def handler() -> BatchHandler:
    found = configure_logging()
    assert isinstance(found, BatchHandler)
    return found


def test_many_lines_cost_one_flush(stream: CountingStream) -> None:
    log = structlog.get_logger("studio.access")
    for number in range(BATCH_LINES - 1):
        log.info("request", number=number)
    assert stream.flushes == 0
    log.info("request", number=BATCH_LINES)
    assert stream.flushes == 1
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(lines) == BATCH_LINES
    assert lines[0]["logger"] == "studio.access"


def test_errors_are_written_at_once(stream: CountingStream) -> None:
    log = structlog.get_logger("studio.gateway")
    log.info("before")
    try:
        raise ValueError("wrong")
    except ValueError:
        log.exception("unexpected")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["before", "unexpected"]
    assert "ValueError: wrong" in lines[1]["exception"]


def test_lines_carry_the_request_and_no_secret(stream: CountingStream) -> None:
    log = structlog.get_logger("studio.any")
    with serving("request-1234"):
        log.info("inside", password="hunter2-hunter2", token="abc", size=3)
    log.info("outside")
    handler().flush()
    inside, outside = (json.loads(line) for line in stream.getvalue().splitlines())
    assert inside["request_id"] == "request-1234"
    assert outside["request_id"] == "offline"
    assert inside["size"] == 3
    assert "hunter2" not in stream.getvalue()
    assert "abc" not in inside.values()


async def test_a_quiet_studio_shows_its_lines_soon(stream: CountingStream) -> None:
    async with flushing(handler()):
        structlog.get_logger("studio.access").info("request")
        assert stream.getvalue() == ""
        await asyncio.sleep(0.7)
        assert "request" in stream.getvalue()
        structlog.get_logger("studio.access").info("last")
    assert "last" in stream.getvalue()
