"""Every part of HTTP/1.1 beside the body is limited; a larger one gets a problem document."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import uvicorn

from deployments.serve.head_limits import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MAX_PIPELINED,
    HeadLimitProtocol,
    limiting_heads,
)

PIECE = 700
HEAD = b"GET /a?b=c HTTP/1.1\r\nHost: x\r\n"
CHUNKED = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
FILLER = b"x" * (MAX_HEAD_BYTES + 10_000)  # a slice may begin within the request before


class App:
    """Answers once the body is here; remembers the requests."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.bodies.append(body)
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
async def port(app: App) -> AsyncIterator[int]:
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, http=HeadLimitProtocol, lifespan="off", log_config=None, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve([listening]))
    yield int(listening.getsockname()[1])
    server.should_exit = True
    await task


async def test_pages_of_named_origins_can_read_a_refusal(app: App) -> None:
    origin = "https://shop.example"
    listening = socket.create_server(("127.0.0.1", 0))
    protocol = limiting_heads({origin})
    config = uvicorn.Config(
        app, http=protocol, lifespan="off", log_config=None, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve([listening]))
    for own_origin, expected in ((origin, origin), ("https://other.example", None)):
        head = HEAD + f"Origin: {own_origin}\r\n".encode() + b"A: " + FILLER
        answers = await exchange(listening.getsockname()[1], head)
        check_refused(answers)
        headers = answers[0][1]
        assert headers.get("access-control-allow-origin") == expected
        assert headers["vary"] == "Origin"
    server.should_exit = True
    await task


async def exchange(
    port: int, data: bytes, piece: int = 0
) -> list[tuple[int, dict[str, str], bytes]]:
    """The answers to these bytes, sent at once or in pieces, until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for start in range(0, len(data), piece or len(data)):
        writer.write(data[start : start + (piece or len(data))])
        if piece:
            await writer.drain()
            await asyncio.sleep(0)
    try:
        async with asyncio.timeout(10):
            return parse_answers(await reader.read())
    finally:
        writer.close()


def parse_answers(raw: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    answers = []
    while raw:
        head, _, raw = raw.partition(b"\r\n\r\n")
        line, *fields = head.decode().split("\r\n")
        headers = dict(field.split(": ", 1) for field in fields)
        size = int(headers["content-length"])
        answers.append((int(line.split()[1]), headers, raw[:size]))
        raw = raw[size:]
    return answers


def check_refused(
    answers: Sequence[tuple[int, dict[str, str], bytes]], status: int = 431, before: int = 0
) -> dict[str, Any]:
    """So many answers, then one problem document, then the connection closes."""
    assert [answer[0] for answer in answers] == [200] * before + [status]
    _, headers, body = answers[-1]
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert headers["x-content-type-options"] == "nosniff"
    problem: dict[str, Any] = json.loads(body)
    assert problem["requestId"] == headers["x-request-id"]
    assert problem["status"] == status
    return problem


TOO_LARGE = {
    "a value": HEAD + b"A: " + FILLER,
    "a name": HEAD + FILLER,
    "a target": b"GET /" + FILLER,
    "a query": b"GET /?" + FILLER,
    "a method": b"GET" + b" " * len(FILLER),
    "many headers of some size": HEAD + b"A: " + (b"x" * 1000 + b"\r\nA: ") * 80,
    "many small headers": HEAD + b"A: 1\r\n" * (MAX_HEADERS + 1) + b"\r\n",
    "empty lines": b"\r\n" * MAX_HEAD_BYTES,
    "white space": HEAD + b"A: " + b" " * len(FILLER),
}


@pytest.mark.parametrize("piece", [0, PIECE])
@pytest.mark.parametrize("name", TOO_LARGE)
async def test_a_head_that_is_too_large_is_refused_while_it_comes(
    port: int, app: App, name: str, piece: int
) -> None:
    problem = check_refused(await exchange(port, TOO_LARGE[name], piece))
    assert problem["type"].endswith("head-too-large")
    assert not app.scopes


async def test_the_refusal_says_which_request_it_was(port: int) -> None:
    head = HEAD + b"X-Request-ID: my-request-1\r\nA: " + FILLER
    problem = check_refused(await exchange(port, head))
    assert problem["instance"] == "/a"
    assert problem["requestId"] == "my-request-1"


@pytest.mark.parametrize("piece", [0, PIECE])
async def test_a_head_of_64_kilobytes_is_taken(port: int, app: App, piece: int) -> None:
    end = b"\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"
    head = HEAD + b"A: "
    head += b"x" * (MAX_HEAD_BYTES - len(head) - len(end)) + end
    assert len(head) == MAX_HEAD_BYTES
    answers = await exchange(port, head + b"abc", piece)
    assert [answer[0] for answer in answers] == [200]
    assert app.bodies == [b"abc"]
    assert len(app.scopes[0]["headers"]) == 4


async def test_as_many_headers_as_are_allowed(port: int, app: App) -> None:
    head = HEAD + b"A: 1\r\n" * (MAX_HEADERS - 2) + b"Connection: close\r\n\r\n"
    assert [answer[0] for answer in await exchange(port, head)] == [200]
    assert len(app.scopes[0]["headers"]) == MAX_HEADERS


@pytest.mark.parametrize("piece", [0, PIECE])
async def test_each_head_of_a_connection_is_counted_on_its_own(
    port: int, app: App, piece: int
) -> None:
    large = HEAD + b"A: " + b"x" * 40_000 + b"\r\nContent-Length: 20000\r\n\r\n" + b"b" * 20_000
    last = HEAD + b"A: " + FILLER
    check_refused(await exchange(port, large * 3 + last, piece), before=3)
    assert app.bodies == [b"b" * 20_000] * 3


AFTER_THE_HEAD = {
    "an extension": CHUNKED + b"1;" + FILLER,
    "a size": CHUNKED + b"0" * len(FILLER),
    "a trailer": CHUNKED + b"1\r\nx\r\n0\r\nA: " + FILLER,
    "trailers": CHUNKED + b"1\r\nx\r\n0\r\n" + b"A: 1\r\n" * (MAX_HEADERS + 1) + b"\r\n",
}


@pytest.mark.parametrize("piece", [0, PIECE])
@pytest.mark.parametrize("name", AFTER_THE_HEAD)
async def test_what_is_neither_head_nor_body_is_bounded_too(
    port: int, name: str, piece: int
) -> None:
    answers = await exchange(port, AFTER_THE_HEAD[name], piece)
    assert answers[-1][0] in {400, 431}  # llhttp itself refuses some of them
    check_refused(answers, answers[-1][0])
    if name != "a size":
        assert answers[-1][0] == 431


async def test_trailers_are_no_headers(port: int, app: App) -> None:
    body = b"3\r\nabc\r\n0\r\nAuthorization: Bearer x\r\n\r\n"
    end = b"GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert [answer[0] for answer in await exchange(port, CHUNKED + body + end)] == [200, 200]
    assert app.bodies == [b"abc", b""]
    assert b"authorization" not in dict(app.scopes[0]["headers"])


async def test_a_large_body_in_chunks_is_not_a_head(port: int, app: App) -> None:
    body = (b"10;note=1\r\n" + b"x" * 16 + b"\r\n") * 20_000
    end = b"0\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert [answer[0] for answer in await exchange(port, CHUNKED + body + end)] == [200, 200]
    assert len(app.bodies[0]) == 16 * 20_000


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nA\x00b: c\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        HEAD + b"Host: x\r\n" * 5 + b"GET / HTTP/1.1\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_told_in_a_problem_document(port: int, data: bytes) -> None:
    check_refused(await exchange(port, data), 400)


async def test_a_line_of_waiting_requests_has_an_end(port: int, app: App) -> None:
    many = HEAD + b"\r\n"
    answers = await exchange(port, many * (MAX_PIPELINED * 5))
    assert 1 < len(answers) <= MAX_PIPELINED + 5
    check_refused(answers, 429, before=len(answers) - 1)


async def test_what_follows_an_upgrade_is_not_parsed_as_http(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    upgrade = HEAD + (
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: eHh4eHh4eHh4eHh4eHh4eA==\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(upgrade + b"\x00" * 50_000)
    assert (await asyncio.wait_for(reader.read(8), 5)) == b"HTTP/1.1"
    writer.close()
    assert "AttributeError" not in caplog.text


async def test_stray_bytes_after_an_answer_do_not_hold_the_connection(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any byte stops uvicorn's timer for idle connections, also one that begins no request."""
    monkeypatch.setattr("deployments.serve.head_limits.HEAD_LIMIT_S", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HEAD + b"\r\n")
    await reader.readuntil(b"ok")
    writer.write(b"\r\n")
    async with asyncio.timeout(3):
        assert await reader.read() == b""
    writer.close()
