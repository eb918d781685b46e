"""Pages of the named origins may call the API; every answer says so, whichever layer makes it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from errors import Unavailable
from gateway.cors import ALLOWED_HEADERS, METHODS
from settings import Settings
from studio.ports import Studio
from tests.gateway.resources import JPEG, open_account
from tests.support.fakes import make_settings, open_client, open_studio

SHOP = "https://shop.example"
OTHER = "https://other.example"
ORIGIN = {"Origin": SHOP}


def preflight(origin: str, method: str = "POST") -> dict[str, str]:
    return {"Origin": origin, "Access-Control-Request-Method": method}


def names_in(value: str) -> set[str]:
    return {name.strip() for name in value.split(",")}


def check_readable(answer: httpx.Response) -> None:
    assert answer.headers["access-control-allow-origin"] == SHOP
    exposed = names_in(answer.headers["access-control-expose-headers"])
    assert exposed == {"Retry-After", "RateLimit", "X-Request-ID"}
    assert "access-control-allow-credentials" not in answer.headers
    assert names_in(answer.headers["vary"]) == {"Origin"}
    assert answer.headers["x-request-id"]


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return make_settings(
        database_url, redis_url, tmp_path / "blobs",
        cors_origins=(SHOP, "http://localhost:3000"), limit_auth=3,
    )  # fmt: skip


async def test_preflights_are_answered_before_tokens_and_limits(client: httpx.AsyncClient) -> None:
    for path in ("/api/search/text", "/api/files/presign", "/blobs/x", "/api/auth/login") * 3:
        answer = await client.options(path, headers=preflight(SHOP, "PUT"))
        assert answer.status_code == 204 and answer.content == b""
        check_readable(answer)
        assert names_in(answer.headers["access-control-allow-methods"]) == set(METHODS)
        allowed = names_in(answer.headers["access-control-allow-headers"])
        assert allowed == set(ALLOWED_HEADERS)
        assert "ratelimit" not in answer.headers


async def test_pages_of_other_origins_get_no_header(client: httpx.AsyncClient) -> None:
    refused = await client.options("/api/search/text", headers=preflight(OTHER))
    assert refused.status_code == 403
    assert refused.headers["content-type"] == "application/problem+json"
    assert "STUDIO_CORS_ORIGINS" in refused.json()["detail"]
    for origin in (OTHER, "null", SHOP + ".evil.example", SHOP.upper(), "http://shop.example"):
        answer = await client.get("/api/health/live", headers={"Origin": origin})
        assert answer.status_code == 200
        for one in (answer, refused):
            assert not [name for name in one.headers if name.startswith("access-control")]
            assert one.headers["vary"] == "Origin"
    same = await client.get("/api/health/live")
    assert same.headers["vary"] == "Origin" and "access-control-allow-origin" not in same.headers
    plain = await client.options("/api/search/text", headers=ORIGIN)  # not a preflight
    assert plain.status_code == 405


async def test_errors_of_every_layer_can_be_read(
    client: httpx.AsyncClient, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise Unavailable("starting")

    monkeypatch.setattr(studio.embedder, "search", fail)
    large = b"x" * 70_000
    requests: list[tuple[int, str, str, dict[str, Any]]] = [
        (400, "GET", "/api/health/live?x=%00", {}),
        (401, "GET", "/api/files", {}),
        (401, "GET", "/api/files", {"headers": {"Authorization": "Bearer x"}}),
        (404, "GET", "/api/nothing", {}),
        (405, "PATCH", "/api/search/text", {}),
        (413, "POST", "/api/search/text", {"content": large}),
        (422, "POST", "/api/search/text", {"json": {}}),
        (422, "GET", "/api/health/live", {"headers": {"X-Request-Deadline-Ms": "soon"}}),
        (503, "POST", "/api/search/text", {"json": {"query": "red"}}),
    ]
    for status, method, path, options in requests:
        options["headers"] = options.get("headers", {}) | ORIGIN
        answer = await client.request(method, path, **options)
        assert answer.status_code == status, (path, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        check_readable(answer)
    body = {"email": "a@example.com", "password": "not the password"}
    for status in (401, 401, 401, 429):
        answer = await client.post("/api/auth/login", json=body, headers=ORIGIN)
        assert answer.status_code == status
        check_readable(answer)
    assert answer.headers["retry-after"]


async def test_a_page_uploads_to_the_local_store(client: httpx.AsyncClient, studio: Studio) -> None:
    account = await open_account(client, studio, "customer")
    body = {
        "filename": "a.jpg", "contentType": "image/jpeg", "purpose": "garment",
        "sizeBytes": len(JPEG),
    }  # fmt: skip
    presigned = await client.post("/api/files/presign", json=body, headers=account.headers | ORIGIN)
    check_readable(presigned)
    receipt = presigned.json()
    allowed = {name.lower() for name in ALLOWED_HEADERS}
    assert {name.lower() for name in receipt["headers"]} <= allowed
    put = await client.put(receipt["url"], content=JPEG, headers=receipt["headers"] | ORIGIN)
    assert put.status_code == 201
    check_readable(put)
    done = await client.post(
        f"/api/files/{receipt['fileId']}/complete", headers=account.headers | ORIGIN
    )
    picture = await client.get(done.json()["readUrl"], headers=ORIGIN)
    assert picture.content == JPEG
    check_readable(picture)


@pytest.fixture
async def closed(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Studio]:
    async with open_studio(make_settings(database_url, redis_url, tmp_path / "closed")) as opened:
        yield opened


async def test_without_the_setting_no_origin_may(closed: Studio) -> None:
    async with open_client(closed) as client:
        answers = await asyncio.gather(
            client.options("/api/search/text", headers=preflight(SHOP)),
            client.get("/api/health/live", headers=ORIGIN),
        )
    assert [answer.status_code for answer in answers] == [405, 200]
    for answer in answers:
        assert not [name for name in answer.headers if name.startswith("access-control")]
