"""The list of one's sessions, and their end."""

from datetime import timedelta

import httpx
from sqlmodel import col, select, update

from db.tables import AuditLog, RefreshToken
from studio.accounts.sessions import IDLE
from studio.ports import Studio
from tests.gateway.resources import open_account
from tests.support.fakes import PASSWORD

EMAIL = "ada@example.com"


async def sign_in(client: httpx.AsyncClient, agent: str) -> dict[str, str]:
    body = {"email": EMAIL, "password": PASSWORD}
    await client.post("/api/auth/register", json=body)
    answer = await client.post("/api/auth/login", json=body, headers={"User-Agent": agent})
    tokens = answer.json()
    return {"Authorization": f"Bearer {tokens['accessToken']}", "refresh": tokens["refreshToken"]}


async def test_ones_sessions_are_listed_and_the_present_one_is_marked(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    phone = await sign_in(client, "Phone")
    laptop = await sign_in(client, "Laptop " + "x" * 300)
    refreshed = await client.post("/api/auth/refresh", json={"refreshToken": phone["refresh"]})
    assert refreshed.status_code == 200
    await open_account(client, studio, "customer")  # somebody else's
    page = (await client.get("/api/auth/sessions", headers=laptop)).json()
    newest, oldest = page["items"]
    assert page["nextCursor"] is None
    assert newest["isCurrent"] and not oldest["isCurrent"]
    assert newest["userAgent"] == ("Laptop " + "x" * 300)[:200]
    assert oldest["userAgent"] == "Phone"
    assert newest["network"] == oldest["network"] == "192.0.2.1"
    assert newest["createdAt"] == newest["lastUsedAt"]
    assert oldest["createdAt"] < newest["createdAt"] < oldest["lastUsedAt"]
    assert oldest["expiresAt"] > oldest["lastUsedAt"]
    first = (await client.get("/api/auth/sessions?limit=1", headers=laptop)).json()
    query = {"limit": 1, "cursor": first["nextCursor"]}
    second = (await client.get("/api/auth/sessions", params=query, headers=laptop)).json()
    assert [first["items"], second["items"]] == [[newest], [oldest]]
    assert second["nextCursor"] is None


async def test_a_session_that_is_ended_is_over_at_once(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    phone, laptop = await sign_in(client, "Phone"), await sign_in(client, "Laptop")
    items = (await client.get("/api/auth/sessions", headers=laptop)).json()["items"]
    path = f"/api/auth/sessions/{items[1]['id']}"
    assert (await client.delete(path, headers=laptop)).status_code == 204
    assert (await client.get("/api/auth/me", headers=phone)).status_code == 401
    refreshed = await client.post("/api/auth/refresh", json={"refreshToken": phone["refresh"]})
    assert refreshed.status_code == 401
    assert (await client.delete(path, headers=laptop)).status_code == 404
    left = (await client.get("/api/auth/sessions", headers=laptop)).json()["items"]
    assert [one["id"] for one in left] == [items[0]["id"]]
    own = await client.delete(f"/api/auth/sessions/{left[0]['id']}", headers=laptop)
    assert own.status_code == 204
    assert (await client.get("/api/auth/me", headers=laptop)).status_code == 401
    async with studio.database.read() as session:
        query = select(AuditLog.subject).where(AuditLog.action == "LOGOUT")
        lines = [str(subject) for subject in await session.exec(query)]
    assert sorted(lines) == sorted(one["id"] for one in items)


async def test_sessions_that_are_over_are_not_listed(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    _, laptop = await sign_in(client, "Phone"), await sign_in(client, "Laptop")
    issued_at = col(RefreshToken.issued_at) - IDLE - timedelta(seconds=1)
    async with studio.database.transaction() as session:
        is_phone = col(RefreshToken.user_agent) == "Phone"
        await session.exec(update(RefreshToken).where(is_phone).values(issued_at=issued_at))
    items = (await client.get("/api/auth/sessions", headers=laptop)).json()["items"]
    assert [one["userAgent"] for one in items] == ["Laptop"]
    out = await client.post("/api/auth/logout", headers=laptop)
    assert out.status_code == 204
    again = await sign_in(client, "Tablet")
    items = (await client.get("/api/auth/sessions", headers=again)).json()["items"]
    assert [one["userAgent"] for one in items] == ["Tablet"]
