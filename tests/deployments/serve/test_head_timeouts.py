"""Connections that never finish their head are closed; others stay open."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from deployments.serve import head_limits
from deployments.serve.head_limits import HeadLimitProtocol

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers once the body is here."""
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(head_limits, "HEAD_LIMIT_S", 0.3)
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, http=HeadLimitProtocol, lifespan="off", log_config=None, timeout_keep_alive=30
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve([listening]))
    yield int(listening.getsockname()[1])
    server.should_exit = True
    await task


async def send_slowly(port: int, *parts: bytes) -> bytes:
    """Everything that comes back until the server closes, or 2 s have passed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    for part in parts:
        writer.write(part)
        await asyncio.sleep(0.05)
    try:
        async with asyncio.timeout(2):
            answer = await reader.read()
        return answer or b"(closed)"
    except TimeoutError:
        return b"(open)"
    finally:
        writer.close()


@pytest.mark.parametrize("parts", [(), (b"GE",), (HEAD[:-2], b"A", b":"), tuple(b"GET / H")])
async def test_heads_that_never_end_are_given_up(port: int, parts: tuple[Any, ...]) -> None:
    pieces = [part if isinstance(part, bytes) else bytes([part]) for part in parts]
    assert await send_slowly(port, *pieces) == b"(closed)"


async def test_a_second_head_is_not_awaited_for_ever_either(port: int) -> None:
    answer = await send_slowly(port, HEAD, b"GET /again HT")
    assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"ok")


async def test_a_slow_body_and_a_pause_between_requests_are_not_its_affair(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n")
    for _ in range(4):
        await asyncio.sleep(0.2)
        writer.write(b"x")
    assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
    await asyncio.sleep(0.8)  # longer than a head may take
    writer.write(HEAD)
    assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
    writer.close()
