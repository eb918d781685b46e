"""Log lines: batched, joined by request id, without secrets."""

import asyncio
import io
import json
import logging
import time
from collections.abc import Iterator

import pytest
import structlog

from studio import context
from studio.context import Origin, continuing, serving
from studio.telemetry.logs import BATCH_LINES, BatchHandler, configure_logging, flushing, scrub


class CountingStream(io.StringIO):
    """Counts writes and flushes."""

    def __init__(self) -> None:
        super().__init__()
        self.flushes = 0

    def flush(self) -> None:
        self.flushes += 1


@pytest.fixture
def stream() -> Iterator[CountingStream]:
    """The output of the studio's loggers during one test."""
    logger = logging.getLogger("studio")
    before, logger.handlers = logger.handlers, []
    captured = CountingStream()
    configure_logging(captured)
    yield captured
    logger.handlers = before


def handler() -> BatchHandler:
    configured = configure_logging()
    assert isinstance(configured, BatchHandler)
    return configured


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


async def test_a_handler_that_is_flushed_gets_no_second_task(stream: CountingStream) -> None:
    flushed = handler()
    flushed.is_flushed = True
    tasks = asyncio.all_tasks()
    async with flushing(flushed):
        assert asyncio.all_tasks() == tasks
        structlog.get_logger("studio.access").info("last")
    assert "last" in stream.getvalue()


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("GET http://x/blobs/a.png?op=get&sig=abc_DEF-1&x=1", "abc_DEF-1"),
        ("https://a.blob.core.windows.net/c/k?sp=c&sig=q%2Bz%3D", "q%2Bz%3D"),
        ("Authorization: Bearer opaque.token-1", "opaque.token-1"),
        ("refused eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.sig-x", "eyJzdWIiOiJ4In0"),
        ("can't reach postgresql://studio:pa-ss@127.0.0.1:1/x", "pa-ss"),
        ("can't reach redis://:pa-ss@127.0.0.1:6/0", "pa-ss"),
    ],
)
def test_secrets_inside_of_texts_are_hidden(stream: CountingStream, text: str, secret: str) -> None:
    log = structlog.get_logger("studio.any")
    log.info("told", what=text)
    try:
        raise ValueError(text)
    except ValueError:
        log.exception("failed")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(lines) == 2
    assert secret not in stream.getvalue()
    assert "[hidden]" in lines[0]["what"] and "[hidden]" in lines[1]["exception"]


REPEATED = [
    "a.",
    "a+b.",
    "eyJ12345678-",
    "eyJ",
    "a://",
    "a://b:",
    "sig=",
    "Bearer ",
    "x:",
    "@",
    "-",
]


def longest_scan(pattern: str) -> float:
    """The CPU time in seconds for 200,000 characters of this text."""
    started_s = time.process_time()
    scrub(pattern * (200_000 // len(pattern)))
    return time.process_time() - started_s


@pytest.mark.parametrize("pattern", REPEATED)
def test_scrubbing_takes_no_quadratic_time(pattern: str) -> None:
    """Quadratic time would take a minute here; linear time takes some milliseconds."""
    assert longest_scan(pattern) < 5


def test_no_text_of_a_caller_fills_the_log(stream: CountingStream) -> None:
    log = structlog.get_logger("studio.any")
    log.info("told", what="x" * 1_000_000)
    try:
        raise ValueError("y" * 1_000_000)
    except ValueError:
        log.exception("failed")
    assert len(stream.getvalue()) < 30_000
    cut, failed = (json.loads(line) for line in stream.getvalue().splitlines())
    assert "[998000 characters]" in cut["what"]
    assert failed["exception"].startswith("Traceback")


def test_a_called_process_knows_the_callers_request(
    stream: CountingStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context._Transport, "request_id", lambda: "carried-1")
    log = structlog.get_logger("studio.any")
    log.info("called")
    with continuing(Origin("nearer-1")):
        log.info("in a batch")
    handler().flush()
    lines = [json.loads(line)["request_id"] for line in stream.getvalue().splitlines()]
    assert lines == ["carried-1", "nearer-1"]
