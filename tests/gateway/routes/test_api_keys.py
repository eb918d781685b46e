"""API keys: what they open, what they never open, and when they end."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from sqlmodel import col, select, update

from db.tables import ApiKey, AuditLog, User
from gateway.deps import allow_everyone
from studio.accounts.keys import KEY_CHARS, MAX_KEYS
from studio.ports import Studio
from tests.gateway.resources import Account, create_key, open_account, put_product
from tests.gateway.test_access import routes
from tests.support.fakes import PASSWORD, make_settings, open_client, open_studio

OPEN_TO_KEYS = {("GET", "/api/auth/me"), ("GET", "/api/admin/users")}
"""Of the routes of accounts; every other one is for people only."""


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def me(client: httpx.AsyncClient, key: str) -> httpx.Response:
    return await client.get("/api/auth/me", headers=bearer(key))


async def set_role(studio: Studio, account: Account, role: str) -> None:
    async with studio.database.transaction() as session:
        await session.exec(update(User).where(col(User.id) == account.id).values(role=role))


async def audited(studio: Studio) -> list[tuple[str, str | None, dict[str, Any]]]:
    async with studio.database.transaction() as session:
        query = select(AuditLog).where(col(AuditLog.action).startswith("API_KEY"))
        rows = (await session.exec(query.order_by(col(AuditLog.at)))).all()
    return [(row.action, row.subject, row.detail) for row in rows]


async def test_a_key_is_shown_once_and_stored_hashed(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    owner = await open_account(client, studio, "merchant")
    new = await create_key(client, owner, name="the shop's server")
    key = new["key"]
    assert key.startswith("sk_") and len(key) == KEY_CHARS and new["hint"] == key[-4:]
    assert new["role"] == "merchant" and new["expiresAt"] is None
    listed = (await client.get("/api/auth/keys", headers=owner.headers)).json()["items"]
    assert [one["name"] for one in listed] == ["the shop's server"]
    assert "key" not in listed[0] and listed[0]["lastUsedAt"] is None
    async with studio.database.read() as session:
        row = (await session.exec(select(ApiKey))).one()
    assert len(row.key_hash) == 32 and key.encode() not in row.key_hash
    assert await audited(studio) == [
        ("API_KEY_CREATED", new["id"], {"name": "the shop's server", "role": "merchant"})
    ]


async def test_a_key_works_where_its_account_works(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    owner = await open_account(client, studio, "merchant")
    key = (await create_key(client, owner))["key"]
    product_id = await put_product(client, Account(owner.id, "merchant", bearer(key)))
    own = await client.delete(f"/api/catalog/products/{product_id}", headers=owner.headers)
    assert own.status_code == 204
    assert (await me(client, key)).json()["id"] == str(owner.id)
    listed = (await client.get("/api/auth/keys", headers=owner.headers)).json()["items"]
    used_at = datetime.fromisoformat(listed[0]["lastUsedAt"])
    assert abs(datetime.now(UTC) - used_at) < timedelta(minutes=1)


async def test_the_use_of_a_key_is_written_once_a_minute(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    owner = await open_account(client, studio, "customer")
    key = (await create_key(client, owner))["key"]
    uses = []
    for age_s in (0, 0, 61):
        async with studio.database.transaction() as session:
            row = (await session.exec(select(ApiKey))).one()
            if row.last_used_at is not None:
                row.last_used_at -= timedelta(seconds=age_s)
                uses.append(row.last_used_at)
        assert (await me(client, key)).status_code == 200
    async with studio.database.read() as session:
        last = (await session.exec(select(ApiKey.last_used_at))).one()
    assert last is not None and last > uses[0] > uses[1]


@pytest.mark.parametrize("role", ["customer", "merchant", "admin"])
async def test_a_key_has_at_most_the_role_of_its_account(
    client: httpx.AsyncClient, studio: Studio, role: str
) -> None:
    owner = await open_account(client, studio, role)
    ranks = ["customer", "merchant", "admin"]
    for other in ranks:
        body = {"name": "a server", "role": other}
        answer = await client.post("/api/auth/keys", json=body, headers=owner.headers)
        if ranks.index(other) > ranks.index(role):
            assert answer.status_code == 403 and role in answer.json()["detail"]
            continue
        assert (await me(client, answer.json()["key"])).json()["role"] == other


async def test_a_key_is_never_above_the_present_role(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    owner = await open_account(client, studio, "admin")
    key = (await create_key(client, owner))["key"]
    lower = (await create_key(client, owner, role="customer"))["key"]
    for role in ("admin", "customer", "merchant"):
        await set_role(studio, owner, role)
        assert (await me(client, key)).json()["role"] == role
        assert (await me(client, lower)).json()["role"] == "customer"
        ping = await client.get("/api/admin/ping", headers=bearer(key))
        assert ping.status_code == (200 if role == "admin" else 403)


async def test_no_key_manages_keys_passwords_sessions_or_accounts(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    """Every route of accounts, whatever is added; an admin's key, which opens the most."""
    owner = await open_account(client, studio, "admin")
    new = await create_key(client, owner)
    tried = set()
    for method, path, permissions in routes(studio):
        is_of_accounts = path.startswith(("/api/auth/", "/api/admin/users"))
        if not is_of_accounts or permissions == {allow_everyone}:
            continue
        filled = path.replace("{key_id}", new["id"]).replace("{user_id}", str(owner.id))
        filled = filled.replace("{session_id}", str(uuid4()))
        body = None if path.endswith("/logout") else BODY
        answer = await client.request(method, filled, headers=bearer(new["key"]), json=body)
        expected = 200 if (method, path) in OPEN_TO_KEYS else 403
        assert answer.status_code == expected, (method, path, answer.text)
        tried.add((method, path))
    assert len(tried) > 10
    assert (await me(client, new["key"])).status_code == 200


BODY = {
    "name": "another", "password": PASSWORD, "currentPassword": PASSWORD,
    "newPassword": "battery-horse-correct", "role": "customer",
}  # fmt: skip
"""Fields of several routes; each route checks who calls before it looks at the body."""


async def test_a_revoked_key_ends_at_once(client: httpx.AsyncClient, studio: Studio) -> None:
    owner = await open_account(client, studio, "customer")
    new, other = await create_key(client, owner), await create_key(client, owner)
    assert (await me(client, new["key"])).status_code == 200
    path = f"/api/auth/keys/{new['id']}"
    assert (await client.delete(path, headers=owner.headers)).status_code == 204
    refused = await me(client, new["key"])
    assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"
    assert (await client.delete(path, headers=owner.headers)).status_code == 404
    assert (await me(client, other["key"])).status_code == 200
    assert [line[:2] for line in await audited(studio)][-1] == ("API_KEY_REVOKED", new["id"])


async def test_an_expired_key_ends_by_itself(client: httpx.AsyncClient, studio: Studio) -> None:
    owner = await open_account(client, studio, "customer")
    until = datetime.now(UTC) + timedelta(hours=1)
    new = await create_key(client, owner, expiresAt=until.isoformat())
    assert (await me(client, new["key"])).status_code == 200
    async with studio.database.transaction() as session:
        await session.exec(update(ApiKey).values(expires_at=datetime.now(UTC)))
    assert (await me(client, new["key"])).status_code == 401


async def test_keys_outlive_sessions_and_end_with_the_account(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    owner = await open_account(client, studio, "customer")
    key = (await create_key(client, owner))["key"]
    body = {"currentPassword": PASSWORD, "newPassword": "battery-horse-correct"}
    done = await client.post("/api/auth/password", json=body, headers=owner.headers)
    assert done.status_code == 204
    assert (await me(client, key)).status_code == 200
    out = await client.post("/api/auth/logout", json={"everywhere": True}, headers=owner.headers)
    assert out.status_code == 204
    assert (await me(client, key)).status_code == 200
    email = (await me(client, key)).json()["email"]
    login = {"email": email, "password": "battery-horse-correct"}
    token = (await client.post("/api/auth/login", json=login)).json()["accessToken"]
    gone = await client.request(
        "DELETE", "/api/auth/me", json={"password": login["password"]}, headers=bearer(token)
    )
    assert gone.status_code == 204
    assert (await me(client, key)).status_code == 401
    async with studio.database.read() as session:
        assert (await session.exec(select(ApiKey))).all() == []


async def test_an_admin_who_signs_an_account_out_ends_its_keys(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    owner = await open_account(client, studio, "customer")
    admin = await open_account(client, studio, "admin")
    keys = [(await create_key(client, one))["key"] for one in (owner, admin)]
    path = f"/api/admin/users/{owner.id}/sessions"
    assert (await client.delete(path, headers=admin.headers)).status_code == 204
    assert [(await me(client, key)).status_code for key in keys] == [401, 200]


async def test_a_session_that_has_ended_makes_no_more_keys(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    """Of both at once, either the key comes first and ends with the account's, or none is made."""
    admin = await open_account(client, studio, "admin")
    for _ in range(5):
        owner = await open_account(client, studio, "customer")
        path = f"/api/admin/users/{owner.id}/sessions"
        await asyncio.gather(
            client.post("/api/auth/keys", json={"name": "late"}, headers=owner.headers),
            client.delete(path, headers=admin.headers),
        )
    async with studio.database.read() as session:
        assert (await session.exec(select(ApiKey))).all() == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"name": ""}, 422),
        ({"name": "x" * 101}, 422),
        ({"name": "a", "role": "owner"}, 422),
        ({"name": "a", "expiresAt": "2020-01-01T00:00:00Z"}, 422),
        ({"name": "a", "expiresAt": "2999-01-01T00:00:00"}, 422),
        ({"name": "a", "expiresAt": "soon"}, 422),
        ({"name": "a", "scope": "all"}, 422),
        ({"name": "a", "expiresAt": "2999-01-01T00:00:00Z"}, 201),
    ],
)
async def test_what_a_key_may_be(
    client: httpx.AsyncClient, studio: Studio, body: dict[str, Any], status: int
) -> None:
    owner = await open_account(client, studio, "customer")
    answer = await client.post("/api/auth/keys", json=body, headers=owner.headers)
    assert answer.status_code == status, answer.text


async def test_an_account_has_a_bounded_number_of_keys(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    owner = await open_account(client, studio, "customer")
    async with studio.database.transaction() as session:
        session.add_all(
            ApiKey(user_id=owner.id, name="n", key_hash=bytes([at]), hint="h", role="customer")
            for at in range(MAX_KEYS - 1)
        )
    posts = [
        client.post("/api/auth/keys", json={"name": "last"}, headers=owner.headers)
        for _ in range(4)
    ]
    statuses = sorted(answer.status_code for answer in await asyncio.gather(*posts))
    assert statuses == [201, 409, 409, 409]
    cursor, ids = "", list[str]()
    while cursor is not None:
        query = {"limit": "20"} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/api/auth/keys", params=query, headers=owner.headers)).json()
        ids += [one["id"] for one in page["items"]]
        cursor = page["nextCursor"]
    assert len(ids) == len(set(ids)) == MAX_KEYS


@pytest.mark.parametrize("token", ["sk_", "sk_x", "sk_" + "A" * 43, "sk_" + "A" * 5000, "sk_ü"])
async def test_what_is_no_key(client: httpx.AsyncClient, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}".encode()}
    answer = await client.get("/api/auth/me", headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 401 and "API key" in answer.json()["detail"]


async def test_the_same_answer_under_one_idempotency_key_and_no_key_in_clear(
    client: httpx.AsyncClient, studio: Studio, redis_url: str
) -> None:
    owner = await open_account(client, studio, "customer")
    headers = owner.headers | {"Idempotency-Key": "first"}
    posts = [client.post("/api/auth/keys", json={"name": "a"}, headers=headers) for _ in range(3)]
    answers = [answer.json() for answer in await asyncio.gather(*posts)]
    assert answers[0]["key"].startswith("sk_") and answers.count(answers[0]) == 3
    other = await client.post("/api/auth/keys", json={"name": "b"}, headers=headers)
    assert other.status_code == 409
    cache = Redis.from_url(redis_url)
    keys = [key async for key in cache.scan_iter("studio:idempotency:*")]
    values = [bytes(value) for value in await cache.mget(keys) if isinstance(value, bytes)]
    await cache.aclose()
    assert len(values) == 1
    assert [json.loads(value)["answer"].keys() for value in values] == [{"sealed"}]
    assert not any(answers[0]["key"].encode() in value for value in values)
    changed = studio.settings.model_copy(update={"jwt_secret": SecretStr("b" * 40)})
    async with open_studio(changed) as later, open_client(later) as again:
        login = {"email": answers[0]["name"], "password": PASSWORD}
        login["email"] = (await me(client, answers[0]["key"])).json()["email"]
        token = (await again.post("/api/auth/login", json=login)).json()["accessToken"]
        repeated = await again.post(
            "/api/auth/keys", json={"name": "a"}, headers=headers | bearer(token)
        )
    assert repeated.status_code == 409 and "create another" in repeated.json()["detail"]


async def test_sessions_and_keys_of_one_account_share_its_limit(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    settings = make_settings(database_url, redis_url, tmp_path, limit_default=4)
    async with open_studio(settings) as studio, open_client(studio) as client:
        owner = await open_account(client, studio, "customer")  # one request
        new = await create_key(client, owner)
        statuses = [(await me(client, new["key"])).status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        own = await client.get("/api/auth/me", headers=owner.headers)
        assert own.status_code == 429
        forged = [(await me(client, "sk_" + f"{at}" * 43)).status_code for at in range(5)]
        assert forged == [401, 401, 401, 401, 429]  # unknown keys are counted by address
