"""Rate limits."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlmodel import select

from db.tables import AuditLog
from errors import SetupError, UpstreamFailed
from gateway.client_address import ClientAddress
from gateway.limits import RateLimits
from integrations.fair_semaphore import Caller
from settings import load_settings
from studio.ports import Studio
from tests.support.fakes import make_settings, open_client, open_studio, sign_in

LOGIN = {"email": "a@example.com", "password": "not the password"}


async def test_headers_count_down_and_the_end_is_429(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    settings = make_settings(database_url, redis_url, tmp_path, limit_auth=3)
    async with open_studio(settings) as studio, open_client(studio) as client:
        for left in (2, 1, 0):
            answer = await client.post("/api/auth/login", json=LOGIN)
            assert answer.status_code == 401
            assert answer.headers["ratelimit-policy"] == '"auth";q=3;w=60'
            assert answer.headers["ratelimit"].startswith(f'"auth";r={left};t=')
        refused = await client.post("/api/auth/login", json=LOGIN)
        assert refused.status_code == 429
        assert refused.headers["content-type"] == "application/problem+json"
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.headers["ratelimit"].startswith('"auth";r=0;t=')
        assert refused.json()["requestId"] == refused.headers["x-request-id"]
        # Other classes, other callers and unlimited paths go on.
        assert (await client.get("/api/auth/me")).status_code == 401
        assert (await client.get("/api/health/live")).status_code == 200
        async with open_client(studio, address="192.0.2.2") as other:
            assert (await other.post("/api/auth/login", json=LOGIN)).status_code == 401


async def test_accounts_have_their_own_window_and_bad_tokens_none(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    settings = make_settings(database_url, redis_url, tmp_path, limit_default=2)
    async with open_studio(settings) as studio, open_client(studio) as client:
        first, second = await sign_in(client, studio), await sign_in(client, studio)
        for headers in (first, second):
            statuses = [
                (await client.get("/api/auth/me", headers=headers)).status_code for _ in range(3)
            ]
            assert statuses == [200, 200, 429]
        forged = [
            (
                await client.get("/api/auth/me", headers={"Authorization": f"Bearer x{number}"})
            ).status_code
            for number in range(3)
        ]
        assert forged == [401, 401, 429]


async def test_what_is_not_counted(client: httpx.AsyncClient) -> None:
    for path in ("/api/health/live", "/api/docs", "/api/openapi.json", "/blobs/x", "/nothing"):
        assert "ratelimit" not in (await client.get(path)).headers
    for path in ("/api/auth/me", "/api/nothing", "/api/files"):
        assert "ratelimit" in (await client.get(path)).headers


async def test_replicas_share_a_window_however_many_ask_at_once(studio: Studio) -> None:
    few = replace(studio, settings=studio.settings.model_copy(update={"limit_search": 20}))
    replicas = [RateLimits(few), RateLimits(few)]
    allowances = await asyncio.gather(
        *(replicas[turn % 2].take("search", f"ip:{turn % 3}") for turn in range(180))
    )
    for who in range(3):
        mine = [one for turn, one in enumerate(allowances) if turn % 3 == who]
        assert sum(one.is_allowed for one in mine) == 20
        assert sorted(one.remaining for one in mine if one.is_allowed) == list(range(20))


async def test_without_the_storage_login_fails_closed_and_the_rest_goes_on(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    settings = make_settings(database_url, "redis://127.0.0.1:1/0", tmp_path, limit_default=2)
    async with open_studio(settings) as studio, open_client(studio) as client:
        refused = await client.post("/api/auth/login", json=LOGIN)
        assert refused.status_code == 503
        assert refused.headers["content-type"] == "application/problem+json"
        assert "retry-after" in refused.headers
        statuses = [(await client.get("/api/auth/me")).status_code for _ in range(3)]
        assert statuses == [401, 401, 429]
        health = (await client.get("/api/health/cache")).json()
        assert health["status"] == "down"
        assert "nobody can sign in, and each replica counts limits by itself" in health["detail"]


async def test_every_refusal_carries_the_limit(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    settings = make_settings(database_url, redis_url, tmp_path)
    async with open_studio(settings) as studio, open_client(studio) as client:
        large = await client.post("/api/search/text", content=b"x" * 1_000_001)
        assert large.status_code == 413
        assert large.headers["ratelimit-policy"] == '"search";q=10000;w=60'


def scope(peer: str, *forwarded: str) -> dict[str, Any]:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return {"type": "http", "client": (peer, 1), "headers": headers}


@pytest.mark.parametrize(
    ("trusted", "http_scope", "client"),
    [
        ((), scope("198.51.100.7", "1.1.1.1"), "198.51.100.7"),
        (("10.0.0.0/8",), scope("198.51.100.7", "1.1.1.1"), "198.51.100.7"),
        (("10.0.0.0/8",), scope("10.0.0.1", "1.1.1.1"), "1.1.1.1"),
        (("10.0.0.0/8",), scope("10.0.0.1", "6.6.6.6, 1.1.1.1, 10.0.0.2"), "1.1.1.1"),
        (("10.0.0.0/8",), scope("10.0.0.1", "6.6.6.6", "1.1.1.1"), "1.1.1.1"),
        (("10.0.0.0/8",), scope("10.0.0.1", "6.6.6.6, nonsense"), "10.0.0.1"),
        (("10.0.0.0/8",), scope("10.0.0.1"), "10.0.0.1"),
        (("10.0.0.0/8",), scope("10.0.0.1", "10.0.0.3"), "10.0.0.3"),
        (("127.0.0.1",), scope("::ffff:127.0.0.1", "2001:db8::1"), "2001:db8::1"),
        (("10.0.0.1",), scope("10.0.0.1", "6.6.6.6:1, 198.51.100.7:50123"), "198.51.100.7"),
        (("10.0.0.1",), scope("10.0.0.1", "[2001:db8::1]:443"), "2001:db8::1"),
        (("10.0.0.1",), scope("10.0.0.1", "[2001:db8::1]"), "2001:db8::1"),
        (("10.0.0.1",), scope("10.0.0.1", "6.6.6.6, "), "10.0.0.1"),
        (("10.0.0.1",), scope("10.0.0.1", "unknown"), "10.0.0.1"),
        (("10.0.0.1",), scope("10.0.0.1", "1.1.1.1, 127.0.0.1"), "127.0.0.1"),
        (("2001:db8:f::/48",), scope("2001:db8:f::1", "6.6.6.6, 2001:db8::7"), "2001:db8::7"),
        (
            ("10.0.0.0/8", "2001:db8:f::/48"),
            scope("10.0.0.1", "6.6.6.6, 198.51.100.7", "2001:db8:f::9, 10.1.1.1:80"),
            "198.51.100.7",
        ),
        (("10.0.0.0/8",), scope("198.51.100.7", "10.0.0.1"), "198.51.100.7"),
        (("10.0.0.0/8",), scope("", "1.1.1.1"), "unknown"),
        ((), {"type": "http", "client": None, "headers": []}, "unknown"),
    ],
)
def test_whose_request_it_is(
    trusted: tuple[str, ...], http_scope: dict[str, Any], client: str
) -> None:
    assert ClientAddress(trusted).of(http_scope) == client


FORGED = {
    "forwarded": "for=1.1.1.1;by=1.1.1.1;host=evil.example",
    "x-real-ip": "1.1.1.1",
    "x-client-ip": "1.1.1.1",
    "client-ip": "1.1.1.1",
    "true-client-ip": "1.1.1.1",
    "cf-connecting-ip": "1.1.1.1",
    "x-forwarded": "1.1.1.1",
    "x-cluster-client-ip": "1.1.1.1",
}


@pytest.mark.parametrize("trusted", [(), ("192.0.2.1",)])
async def test_no_other_header_names_the_client(studio: Studio, trusted: tuple[str, ...]) -> None:
    """A caller can't choose the address that counts, not even through a trusted proxy."""
    settings = studio.settings.model_copy(update={"trusted_proxies": trusted})
    forwarded = {"x-forwarded-for": "6.6.6.6, 198.51.100.7"}
    async with open_client(replace(studio, settings=settings)) as client:
        answer = await client.post("/api/auth/login", json=LOGIN, headers=FORGED | forwarded)
    assert answer.status_code == 401
    async with studio.database.transaction() as session:
        row = (await session.exec(select(AuditLog))).one()
    assert row.ip == ("198.51.100.7" if trusted else "192.0.2.1")


@pytest.mark.parametrize("proxies", ['["0.0.0.0/0"]', '["::/0"]', '["proxy.example"]', '["1.2.3"]'])
def test_proxies_are_addresses_and_never_everybody(
    monkeypatch: pytest.MonkeyPatch, proxies: str
) -> None:
    monkeypatch.setenv("STUDIO_TRUSTED_PROXIES", proxies)
    with pytest.raises(SetupError, match="STUDIO_TRUSTED_PROXIES"):
        load_settings()


async def test_what_fetches_pictures_knows_whose_work_it_is(
    client: httpx.AsyncClient, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fetches are bounded by caller: an account, or the address of somebody who has none;
    and by network, as accounts cost nothing.
    """
    callers: list[Caller | None] = []

    async def fetch_image(
        url: str, caller: Caller | None = None, *, is_patient: bool = False
    ) -> bytes:
        callers.append(caller)
        raise UpstreamFailed("not here")

    monkeypatch.setattr(studio.fetcher, "fetch_image", fetch_image)
    headers = await sign_in(client, studio)
    body = {"imageUrl": "https://pictures.example/a.jpg"}
    assert (await client.post("/api/search/image", json=body)).status_code == 502
    await client.post("/api/cv/segmentation", json=body, headers=headers)
    me = (await client.get("/api/auth/me", headers=headers)).json()["id"]
    network = "192.0.2.1"
    assert callers == [Caller(f"ip:{network}", network), Caller(f"user:{me}", network)]
