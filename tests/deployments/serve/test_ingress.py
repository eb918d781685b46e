"""Callers' headers reach the Gateway; headers that control Ray Serve are dropped."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

from deployments.serve.ingress import CleanHead, middlewares

SERVE = [
    (b"x-request-timeout-seconds", b"0.001"),
    (b"x-request-disconnect-disabled", b"?1"),
    (b"x-session-id", b"abc"),
    (b"x_session_id", b"abc"),
    (b"serve_multiplexed_model_id", b"m"),
    (b"serve-multiplexed-model-id", b"m"),
]


async def pass_through(headers: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The headers that Serve and the Gateway see."""
    passed: dict[bytes, bytes] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        passed.update(scope["headers"])

    async def nothing(*_: Any) -> Any:
        raise AssertionError

    scope: Any = {"type": "http", "path": "/", "headers": headers}
    await CleanHead(app)(scope, nothing, nothing)
    return passed


@pytest.mark.parametrize(("name", "value"), SERVE)
@pytest.mark.parametrize("other", [None, b"\xff\xfe"])
async def test_headers_of_serve_itself_are_dropped(
    name: bytes, value: bytes, other: bytes | None
) -> None:
    passed = await pass_through([(b"host", b"x"), (name, other or value), (b"accept", b"*/*")])
    assert set(passed) == {b"host", b"accept", b"x-request-id"}


async def test_all_that_serve_decodes_is_text() -> None:
    headers = [(b"traceparent", b"\xff"), (b"x-request-id", b"\xff" * 10), (b"tracestate", b"a=b")]
    passed = await pass_through([*headers, (b"idempotency-key", b"k\xe4se")])
    assert b"traceparent" not in passed
    assert passed[b"tracestate"] == b"a=b"
    assert passed[b"idempotency-key"] == b"k\xe4se"  # the Gateway checks this one
    assert passed[b"x-request-id"].isascii()


def test_serve_is_given_the_layer() -> None:
    assert [layer.cls.__name__ for layer in middlewares()] == [CleanHead.__name__]  # type: ignore[attr-defined]


def test_serve_reads_no_other_header() -> None:
    """A new version of Ray may read more headers: add them to `SERVE_HEADERS`, or to this test."""
    package = importlib.util.find_spec("ray")
    assert package is not None and package.origin is not None
    source = Path(package.origin).parent / "serve/_private/constants.py"
    names = re.findall(r'"(x-[a-z-]+)"', source.read_text())
    ours = {name.decode() for name, _ in SERVE}
    assert set(names) - ours == {"x-request-id", "x-serve-router-"}
