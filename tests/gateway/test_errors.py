"""Every error is answered with a problem document, and the next request works."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

import errors
from errors import StudioError
from gateway.app import create_app
from gateway.error_table import TABLE
from gateway.wire import WireRequest
from studio.ports import Studio
from tests.support.fakes import make_settings, open_client, open_studio, running

FIELDS = {"type", "title", "status", "detail", "instance", "requestId"}


def checked(answer: httpx.Response, status: int) -> dict[str, object]:
    """The problem document of an answer."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, object] = answer.json()
    assert set(problem) - {"errors"} == FIELDS
    assert problem["status"] == status
    assert problem["requestId"] == answer.headers["x-request-id"]
    return problem


class Everything(WireRequest):
    count: int
    text: str = ""
    any_of_it: dict[str, object] = {}


@pytest.fixture
async def broken(studio: Studio) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway that has routes which fail on purpose."""
    app: FastAPI = create_app(studio)

    @app.get("/api/fail/{name}")
    async def fail(name: str) -> None:
        if name == "surprise":
            raise RuntimeError("/secret/path and SELECT password FROM users")
        raise getattr(errors, name)("said to the caller")

    @app.post("/api/take")
    async def take(body: Everything) -> Everything:
        return body

    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        running(app),
        httpx.AsyncClient(transport=transport, base_url="http://studio.test") as client,
    ):
        yield client
        assert (await client.post("/api/take", json={"count": 1})).status_code == 200


@pytest.mark.parametrize(("kind", "row"), TABLE.items())
async def test_every_studio_error_has_its_status(
    broken: httpx.AsyncClient, kind: type[StudioError], row: object
) -> None:
    answer = await broken.get(f"/api/fail/{kind.__name__}")
    problem = checked(answer, TABLE[kind].status)
    assert problem["detail"] == "said to the caller"
    assert problem["instance"] == f"/api/fail/{kind.__name__}"
    assert str(problem["type"]).endswith(TABLE[kind].slug)
    assert ("retry-after" in answer.headers) == (answer.status_code in (429, 503))
    assert ("www-authenticate" in answer.headers) == (answer.status_code == 401)


def test_every_error_a_caller_may_meet_is_in_the_table() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type)}
    met = {kind for kind in kinds if issubclass(kind, StudioError)}
    assert met - set(TABLE) == {StudioError, errors.SetupError}


@pytest.mark.parametrize("name", ["surprise", "SetupError"])
async def test_surprises_tell_nothing(
    broken: httpx.AsyncClient, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await broken.get(f"/api/fail/{name}")
    checked(answer, 500)
    for inside in ("secret", "SELECT", "RuntimeError", "said to the caller", "Traceback"):
        assert inside not in answer.text


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b"{'count': 1}", b"[" * 100_000, b'{"count": 1}}', b"nul"],
)
async def test_broken_json_is_malformed(broken: httpx.AsyncClient, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    answer = await broken.post("/api/take", content=body, headers=headers)
    # No body at all is a missing field, not broken JSON.
    checked(answer, 400 if body else 422)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ("{}", "/count"),
        ('{"count": "secret-value"}', "/count"),
        ('{"count": 1, "un/known~": 1}', "/un~1known~0"),
        ('{"count": 1, "text": "a\\u0000b"}', ""),
        ('{"count": 1, "text": "\\ud800"}', ""),
        ('{"count": 1, "\\ud800": 1}', ""),
        ('{"count": 1, "anyOfIt": {"deep": [{"x": "\\u0000"}]}}', ""),
        ('{"count": 1, "anyOfIt": {"x": NaN}}', ""),
        ('{"count": 1, "any_of_it": {}}', "/any_of_it"),
        ("[]", ""),
        ("null", ""),
    ],
)
async def test_wrong_fields_are_named_and_not_echoed(
    broken: httpx.AsyncClient, body: str, path: str
) -> None:
    headers = {"content-type": "application/json"}
    answer = await broken.post("/api/take", content=body, headers=headers)
    problem = checked(answer, 422)
    fields = problem["errors"]
    assert isinstance(fields, list)
    assert fields[0]["path"] == path
    assert fields[0]["in"] == "body"
    assert "secret-value" not in answer.text


async def test_unknown_paths_and_methods(client: httpx.AsyncClient) -> None:
    checked(await client.get("/api/nothing"), 404)
    checked(await client.post("/api/nothing"), 404)
    checked(await client.get("/nothing/here"), 404)
    answer = await client.get("/api/auth/login")
    checked(answer, 405)
    assert answer.headers["allow"] == "POST"
    checked(await client.get("/../../etc/passwd"), 404)
    checked(await client.get("/%2e%2e/settings.py"), 404)


async def test_a_nul_anywhere_in_the_address(client: httpx.AsyncClient) -> None:
    checked(await client.get("/api/health/a%00b"), 400)
    checked(await client.get("/api/admin/audit?action=%00"), 400)


async def test_bodies_over_a_megabyte(broken: httpx.AsyncClient) -> None:
    filler = "x" * 1_000_000
    answer = await broken.post("/api/take", json={"count": 1, "text": filler})
    checked(answer, 413)

    async def endless() -> AsyncIterator[bytes]:
        yield b'{"count": 1, "text": "'
        for _ in range(2000):
            yield b"x" * 1000

    headers = {"content-type": "application/json"}
    checked(await broken.post("/api/take", content=endless(), headers=headers), 413)
    headers["content-length"] = "five"
    checked(await broken.post("/api/take", content=b"{}", headers=headers), 400)


@pytest.mark.parametrize(
    ("request_id", "is_accepted"),
    [
        ("my-request.id_1", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("short", False),
        ("white space", False),
        ("line\tbreak-", False),
        ("käse-käse", False),
    ],
)
async def test_request_ids(client: httpx.AsyncClient, request_id: str, is_accepted: bool) -> None:
    headers = [(b"x-request-id", request_id.encode())]
    answer = await client.get("/api/health/live", headers=headers)
    assert (answer.headers["x-request-id"] == request_id) == is_accepted
    assert len(answer.headers["x-request-id"]) >= 8


async def test_security_headers(client: httpx.AsyncClient) -> None:
    for path in ("/", "/api/health/live", "/api/nothing", "/api/docs", "/js/main.js"):
        answer = await client.get(path)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "strict-transport-security" not in answer.headers
        is_page = answer.headers["content-type"].startswith("text/html")
        assert ("cross-origin-opener-policy" in answer.headers) == is_page
    assert (await client.get("/api/health/live")).headers["cache-control"] == "no-store"


async def test_a_page_that_did_not_change_keeps_its_policy(client: httpx.AsyncClient) -> None:
    page = await client.get("/")
    condition = {"If-None-Match": page.headers["etag"]}
    again = await client.get("/", headers=condition)
    assert again.status_code == 304
    assert "content-security-policy" not in again.headers  # it would replace the page's own


async def test_behind_tls_browsers_are_told_to_keep_to_it(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    settings = make_settings(database_url, redis_url, tmp_path, public_url="https://studio.test")
    async with open_studio(settings) as studio, open_client(studio) as client:
        answer = await client.get("/api/health/live")
    assert answer.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"


async def test_methods_that_nobody_needs(client: httpx.AsyncClient) -> None:
    for method in ("TRACE", "OPTIONS", "CONNECT", "PROPFIND"):
        answer = await client.request(method, "/api/auth/me", headers={"origin": "https://a.b"})
        checked(answer, 405)
        assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_access_log_has_the_template_and_no_query(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="studio.access")
    headers = {"x-request-id": "trace-me-1234"}
    await client.get("/blobs/uploads/a.jpg?sig=very-secret", headers=headers)
    line = json.loads(caplog.records[-1].getMessage())
    assert line["route"] == "/blobs/{key}"
    assert line["method"] == "GET"
    assert line["status"] == 403
    assert line["request_id"] == "trace-me-1234"
    assert "very-secret" not in caplog.text
