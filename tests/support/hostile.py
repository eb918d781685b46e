"""Hostile input that is cheap to send and was expensive to process, and a limit of CPU time.

Each generator stands for one kind of attack. It repeats something up to some hundred thousand
times, so that work that grows faster than the input takes noticeably long.
"""

import asyncio
import json
import struct
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import uvicorn
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from uvicorn.server import ServerState

from deployments.serve.head_limits import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MAX_PIPELINED,
    SLICE_BYTES,
    HeadLimitProtocol,
)
from errors import Invalid, Malformed, StudioError
from gateway.json_limit import DocumentLimits, check_document
from models.images import decode_image, inspect_image
from studio.accounts.forms import LoginForm
from studio.catalog.form import ProductForm
from studio.payments.order_form import OrderForm
from studio.sales.csv_file import COLUMNS, read_sales
from studio.sales.forms import EvaluationForm
from studio.search.forms import HybridSearchForm, TextSearchForm
from studio.segmentation.forms import SegmentationForm
from studio.telemetry.logs import scrub

MAX_CPU_S = 2.0

Result = TypeVar("Result")


def within_bounds(call: Callable[..., Result], *args: Any, **options: Any) -> Result:
    """The result of the call, which must not take more CPU time than `MAX_CPU_S`."""
    started_s = time.process_time()
    try:
        return call(*args, **options)
    finally:
        cpu_s = time.process_time() - started_s
        assert cpu_s <= MAX_CPU_S, f"{getattr(call, '__name__', call)}: {cpu_s:.1f} s of CPU"


counts = st.sampled_from([1, 40, 1_000, 30_000, 300_000])
"""How often something is repeated; generators limit it to the largest possible input."""


# JSON documents that are deep, wide or full of errors.

FORMS: tuple[TypeAdapter[Any], ...] = tuple(
    TypeAdapter(form)
    for form in (
        TextSearchForm, HybridSearchForm, LoginForm, EvaluationForm, SegmentationForm,
        OrderForm, ProductForm,
    )
)  # fmt: skip
FIELDS = ("query", "filters", "brand", "observations", "points", "items", "attributes", "a")
SCALARS = (
    "1", "-1e400", "NaN", '""', '"x"', "null", "[]", "{}", "9" * 5_000, "1" * 4_000,
    '"\\ud800"', '{"brand":[1]}', "0." + "0" * 3_000,
)  # fmt: skip
BODY_BYTES = 1_000_000


def repeated(text: str, count: int, between: str = ",") -> str:
    """The text, repeated at most until it fills a request body."""
    most = max(1, BODY_BYTES // (len(text) + len(between)))
    return between.join([text] * min(count, most))


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """A request body that was made to take long to read."""
    inner, name, count = draw(st.sampled_from(SCALARS)), draw(st.sampled_from(FIELDS)), draw(counts)
    shape = draw(st.sampled_from(["list", "keys", "same keys", "deep list", "deep object", "rows"]))
    if shape == "list":
        inside = f"[{repeated(inner, count)}]"
    elif shape == "keys":
        most = min(count, BODY_BYTES // (len(inner) + 10))
        inside = "{" + ",".join(f'"k{number}":{inner}' for number in range(most)) + "}"
    elif shape == "same keys":
        inside = "{" + repeated(f'"a":{inner}', count) + "}"
    elif shape == "deep list":
        inside = "[" * count + draw(st.sampled_from(["", inner + "]" * count]))
    elif shape == "deep object":
        inside = '{"a":' * min(count, 100_000) + inner + "}" * draw(st.sampled_from([0, count]))
    else:
        inside = f"[{repeated(json.dumps(dict.fromkeys(FIELDS, 1)), count)}]"
    place = draw(st.sampled_from(["{%s}", '{"query":"x","filters":{%s}}', '{"payload":{%s}}']))
    return (place % f'"{name}":{inside}').encode("utf-8", "replace")[:BODY_BYTES]


def judge_document(body: bytes) -> None:
    """Reads a body as the Gateway does, limits first; there must be few errors."""
    try:
        check_document(body, DocumentLimits())
        document = json.loads(body)
    except (Malformed, Invalid, ValueError):
        return
    for form in FORMS:
        try:
            form.validate_python(document)
        except ValidationError as error:
            assert error.error_count() <= 1_000  # 200 keys in each of a few places


def check_body(body: bytes) -> None:
    """Checks that it is read or refused in little time."""
    within_bounds(judge_document, body)


# HTTP: long request heads, in pieces.

LINES = (b"GET / HTTP/1.1\r\n", b"Host: x\r\n", b"A: ", b"\r\n", b"\r\n\r\n",
         b"Transfer-Encoding: chunked\r\n",
         b"Content-Length: 3\r\n", b"abc", b"0\r\n", b"1;", b"1\r\nx\r\n", b"\x00",
         b"POST / HTTP/1.1\r\n", b"GET /", b"?a=", b" ", b"X-Request-ID: abcdefgh\r\n",
         b"Upgrade: h2c\r\n", b"\xff")  # fmt: skip
STREAM_BYTES = 3_000_000


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, int]:
    """The bytes of one connection, and the size of the pieces in which they arrive."""
    data = bytearray()
    for line in draw(st.lists(st.sampled_from(LINES) | st.binary(max_size=8), max_size=12)):
        count = draw(st.sampled_from([1, 1, 1, 1, 30, 1_000, 100_000, 3_000_000]))
        data += line * min(count, STREAM_BYTES // max(1, len(line)))
    return bytes(data[:STREAM_BYTES]), draw(st.sampled_from([7, 1_000, 65_536, 262_144]))


class Connection:
    """A fake transport, which records what is written and whether it is closed."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The peer's name; the default for everything else."""
        return ("192.0.2.1", 1) if name == "peername" else default

    def write(self, data: bytes) -> None:
        """Records the data."""
        self.written += data

    def is_closing(self) -> bool:
        """Whether `close` was called."""
        return self.closed

    def close(self) -> None:
        """Records the close."""
        self.closed = True

    def can_write_eof(self) -> bool:
        """False, as for TLS."""
        return False

    def pause_reading(self) -> None:
        """Does nothing; no more data arrives by itself."""

    resume_reading = pause_reading


async def answer_at_once(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application that answers without reading the request."""
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


@cache
def server() -> tuple[asyncio.AbstractEventLoop, uvicorn.Config]:
    """An event loop, and a uvicorn configuration."""
    config = uvicorn.Config(answer_at_once, lifespan="off", log_config=None, ws="none")
    config.load()
    return asyncio.new_event_loop(), config


def feed(protocol: HeadLimitProtocol, data: bytes, piece: int) -> None:
    """Passes all the data to the protocol, in pieces."""
    for start in range(0, len(data), piece):
        protocol.data_received(data[start : start + piece])


def check_stream(stream: tuple[bytes, int]) -> None:
    """Checks that it is parsed in little time and memory, and that the response is HTTP."""
    data, piece = stream
    loop, config = server()
    connection = Connection()
    state = ServerState()
    protocol = HeadLimitProtocol(config, state, {}, loop)
    protocol.connection_made(cast(asyncio.Transport, connection))
    within_bounds(feed, protocol, data, piece)
    assert sum(map(len, protocol.headers or [])) <= MAX_HEADERS * 2
    assert len(getattr(protocol, "url", b"")) <= MAX_HEAD_BYTES + SLICE_BYTES
    assert len(protocol.pipeline) <= MAX_PIPELINED + 1
    loop.run_until_complete(asyncio.wait_for(finish(state), 5))
    protocol.connection_lost(None)
    assert not connection.written or connection.written.startswith(b"HTTP/1.1 ")


async def finish(state: ServerState) -> None:
    """Waits until all responses have ended."""
    while state.tasks:
        await asyncio.gather(*state.tasks, return_exceptions=True)


# Pictures with many scans.


def segment(marker: int, content: bytes) -> bytes:
    """A JPEG marker segment."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def empty_scan(blocks: int) -> bytes:
    """A scan that refines the AC coefficients without any data: only end-of-band runs."""
    bits = ""
    while blocks:
        run = min(blocks, 32_767)
        size = run.bit_length() - 1
        bits += f"{size:04b}"[-4:] + (f"{run - (1 << size):0{size}b}" if size else "")
        blocks -= run
    bits += "1" * (-len(bits) % 8)
    coded = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
    return segment(0xDA, bytes([1, 1, 0, 1, 63, 0x10])) + coded


def scan_bomb(side: int, scans: int) -> bytes:
    """A grey progressive JPEG of many scans, each of which costs a pass over all blocks."""
    # A code of four bits for each run length, whose value is the power of two of the run.
    codes = bytes([0, 0, 0, 15] + [0] * 12) + bytes(power << 4 for power in range(15))
    head = (
        b"\xff\xd8"
        + segment(0xDB, bytes([0]) + b"\x01" * 64)
        + segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + bytes([1, 0x11, 0]))
        + segment(0xC4, bytes([0x10]) + codes)
    )
    return head + empty_scan(((side + 7) // 8) ** 2) * scans + b"\xff\xd9"


def bombs(most_side: int, most_scans: int) -> st.SearchStrategy[bytes]:
    """Scan bombs of every size up to these."""
    sides = st.sampled_from([8, 100, 640, most_side]) | st.integers(1, most_side)
    scans = st.sampled_from([12, most_scans]) | st.integers(0, most_scans)
    return st.builds(scan_bomb, sides, scans)


def check_bomb(data: bytes) -> None:
    """Checks that it is decoded or refused in limited time."""
    for call, options in ((inspect_image, {}), (decode_image, {"shortest_side": 448})):
        with suppress(StudioError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            within_bounds(call, data, **options)


# Tables with long headers and many cells.


@st.composite
def sales_files(draw: st.DrawFn, most: int) -> bytes:
    """A sales CSV with a header, a line or a cell that is repeated at most `most` times."""
    between = draw(st.sampled_from([",", ";", "\t"]))
    name = draw(st.sampled_from([*COLUMNS, "x", "", '"', "x" * 1_000]))
    header = between.join(draw(st.permutations(COLUMNS)))
    if draw(st.booleans()):
        header = repeated(name, min(most, draw(counts)), between)
    cell = draw(st.sampled_from(["1", "", '"', "9" * 5_000, "2026-01-01", "x" * 1_000, "1e999999"]))
    line = repeated(cell, min(most, draw(st.sampled_from([1, 7, 1_000, 300_000]))), between)
    lines = "\n".join([line] * draw(st.sampled_from([0, 1, 3])))
    return f"{header}\n{lines}\n".encode()[: 2 * BODY_BYTES]


def check_sales(data: bytes) -> None:
    """Checks that it is a table, or refused with a short message."""
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        file.write(data)
        file.flush()
        try:
            within_bounds(read_sales, Path(file.name), needs_date=True, most=2_000)
        except Invalid as error:
            assert len(error.detail) < 20_000


# Log lines that a regular expression might read repeatedly.

lines = st.builds(
    lambda parts, count: "".join(parts) * min(count, 200_000 // max(1, len("".join(parts)))),
    st.lists(
        st.sampled_from(["a", ".", "+", "://", ":", "@", "eyJ", "12345678", "-", "sig=", "Bearer ",
                         "&", '"', "\\", " ", "/"]) | st.text(max_size=3), max_size=4),
    counts,
)  # fmt: skip


def check_line(text: str) -> None:
    """Checks that scrubbing a line takes little time."""
    within_bounds(scrub, text)
