"""Registration, sign-in, refresh and sign-out over HTTP."""

from uuid import uuid4

import httpx
import pytest
from sqlmodel import col, select

from db.tables import AuditLog, RefreshToken
from gateway.auth import AccessTokens
from studio.ports import Studio
from tests.support.fakes import PASSWORD, open_client, sign_in

EMAIL = "Ada@Example.com"


async def register(client: httpx.AsyncClient, **changes: object) -> httpx.Response:
    return await client.post(
        "/api/auth/register", json={"email": EMAIL, "password": PASSWORD, **changes}
    )


async def login(client: httpx.AsyncClient, **changes: object) -> httpx.Response:
    return await client.post(
        "/api/auth/login", json={"email": EMAIL, "password": PASSWORD, **changes}
    )


async def audited(studio: Studio) -> list[str]:
    async with studio.database.transaction() as session:
        rows = await session.exec(select(AuditLog.action).order_by(col(AuditLog.at)))
        return list(rows.all())


async def test_an_account_from_registration_to_me(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    answer = await register(client, name="Ada")
    assert answer.status_code == 201
    user = answer.json()["user"]
    assert user == {
        "id": user["id"], "email": "Ada@example.com", "name": "Ada", "role": "customer",
    }  # fmt: skip
    signed_in = await login(client, email=" ada@EXAMPLE.com ")
    assert signed_in.status_code == 200
    body = signed_in.json()
    assert set(body) == {"accessToken", "refreshToken", "tokenType", "expiresIn", "user"}
    assert body["expiresIn"] == 900
    assert body["user"] == user
    assert signed_in.headers["cache-control"] == "no-store"
    headers = {"Authorization": f"Bearer {body['accessToken']}"}
    me = await client.get("/api/auth/me", headers=headers)
    assert me.json() == user
    assert await audited(studio) == ["REGISTER", "LOGIN"]


async def test_an_address_registers_once_whatever_its_case(client: httpx.AsyncClient) -> None:
    assert (await register(client)).status_code == 201
    again = await register(client, email="ADA@example.COM")
    assert again.status_code == 409
    assert again.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"password": "short"}, "/password"),
        ({"password": "x" * 73}, "/password"),
        ({"password": "é" * 37}, "/password"),
        ({"email": "no address"}, "/email"),
        ({"email": "a@b"}, "/email"),
        ({"role": "admin"}, "/role"),
        ({"name": "x" * 201}, "/name"),
        ({"name": "a\x00b"}, ""),
        ({"email": None}, "/email"),
    ],
)
async def test_bad_registrations_say_which_field(
    client: httpx.AsyncClient, changes: dict[str, object], path: str
) -> None:
    refused = await register(client, **changes)
    assert refused.status_code == 422
    problem = refused.json()
    assert problem["errors"][0]["path"] == path
    password = changes.get("password")
    assert password is None or str(password) not in refused.text
    assert (await register(client)).status_code == 201


async def test_passwords_of_12_and_72_bytes_are_taken(client: httpx.AsyncClient) -> None:
    for number, password in enumerate(("x" * 12, "é" * 36)):
        email = f"user{number}@example.com"
        assert (await register(client, email=email, password=password)).status_code == 201
        assert (await login(client, email=email, password=password)).status_code == 200
    # Nothing is cut: the 72 bytes and one more are another password.
    assert (await login(client, email=email, password=password + "x")).status_code == 401


async def test_unknown_account_and_wrong_password_look_alike(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    await register(client)
    wrong = await login(client, password="not the password")
    unknown = await login(client, email="nobody@example.com")
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.headers["www-authenticate"] == "Bearer"
    without_id = {"requestId"}
    assert {k: v for k, v in wrong.json().items() if k not in without_id} == {
        k: v for k, v in unknown.json().items() if k not in without_id
    }
    assert await audited(studio) == ["REGISTER", "LOGIN_FAILED", "LOGIN_FAILED"]


async def test_repeated_failures_slow_down_an_account(client: httpx.AsyncClient) -> None:
    await register(client)
    for _ in range(5):
        assert (await login(client, password="not the password")).status_code == 401
    slowed = await login(client)
    assert slowed.status_code == 429
    assert int(slowed.headers["retry-after"]) >= 1
    assert (await login(client, email="someone@example.com")).status_code == 401


async def test_the_oauth2_form_of_swagger(client: httpx.AsyncClient) -> None:
    await register(client)
    answer = await client.post(
        "/api/auth/login",
        data={"grant_type": "password", "username": EMAIL, "password": PASSWORD},
    )
    assert answer.status_code == 200
    body = answer.json()
    assert body["access_token"] == body["accessToken"]
    assert body["token_type"] == "Bearer"
    assert (await client.post("/api/auth/login", data={"username": "x"})).status_code == 422


async def test_refresh_rotates_and_reuse_ends_the_session(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    await register(client)
    first = (await login(client)).json()
    second = await client.post("/api/auth/refresh", json={"refreshToken": first["refreshToken"]})
    assert second.status_code == 200
    third = await client.post(
        "/api/auth/refresh", json={"refreshToken": second.json()["refreshToken"]}
    )
    assert third.status_code == 200
    reused = await client.post("/api/auth/refresh", json={"refreshToken": first["refreshToken"]})
    assert reused.status_code == 401
    ended = await client.post(
        "/api/auth/refresh", json={"refreshToken": third.json()["refreshToken"]}
    )
    assert ended.status_code == 401
    headers = {"Authorization": f"Bearer {third.json()['accessToken']}"}
    assert (await client.get("/api/auth/me", headers=headers)).status_code == 401
    assert "REFRESH_REUSED" in await audited(studio)


async def test_only_hashes_of_refresh_tokens_are_kept(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    await register(client)
    token = (await login(client)).json()["refreshToken"]
    async with studio.database.transaction() as session:
        rows = (await session.exec(select(RefreshToken))).all()
    assert [len(row.token_hash) for row in rows] == [32]
    assert token.encode() not in rows[0].token_hash


async def test_logout_acts_at_once(client: httpx.AsyncClient, studio: Studio) -> None:
    await register(client)
    session = (await login(client)).json()
    headers = {"Authorization": f"Bearer {session['accessToken']}"}
    other = (await login(client)).json()
    assert (await client.post("/api/auth/logout", headers=headers)).status_code == 204
    assert (await client.get("/api/auth/me", headers=headers)).status_code == 401
    refreshed = await client.post(
        "/api/auth/refresh", json={"refreshToken": session["refreshToken"]}
    )
    assert refreshed.status_code == 401
    other_headers = {"Authorization": f"Bearer {other['accessToken']}"}
    assert (await client.get("/api/auth/me", headers=other_headers)).status_code == 200
    by_token = await client.post("/api/auth/logout", json={"refreshToken": other["refreshToken"]})
    assert by_token.status_code == 204
    assert (await client.get("/api/auth/me", headers=other_headers)).status_code == 401
    assert (await client.post("/api/auth/logout")).status_code == 401
    assert (await audited(studio)).count("LOGOUT") == 2


async def test_signing_out_everywhere(client: httpx.AsyncClient, studio: Studio) -> None:
    await register(client)
    sessions = [(await login(client)).json() for _ in range(3)]
    bearers = [{"Authorization": f"Bearer {one['accessToken']}"} for one in sessions]
    body = {"everywhere": True}
    assert (await client.post("/api/auth/logout", json=body)).status_code == 401
    token = {"refreshToken": sessions[0]["refreshToken"]}
    assert (await client.post("/api/auth/logout", json=body | token)).status_code == 401
    gone = await client.post("/api/auth/logout", json=body, headers=bearers[1])
    assert gone.status_code == 204
    for headers in bearers:
        assert (await client.get("/api/auth/me", headers=headers)).status_code == 401
    assert "LOGOUT_EVERYWHERE" in await audited(studio)
    assert (await login(client)).status_code == 200


async def test_admins_sign_others_out(client: httpx.AsyncClient, studio: Studio) -> None:
    await register(client)
    sessions = [(await login(client)).json() for _ in range(2)]
    admin = await sign_in(client, studio, "admin")
    path = f"/api/admin/users/{sessions[0]['user']['id']}/sessions"
    assert (await client.delete(path, headers=admin)).status_code == 204
    for one in sessions:
        headers = {"Authorization": f"Bearer {one['accessToken']}"}
        assert (await client.get("/api/auth/me", headers=headers)).status_code == 401
        token = {"refreshToken": one["refreshToken"]}
        assert (await client.post("/api/auth/refresh", json=token)).status_code == 401
    assert (await client.get("/api/auth/me", headers=admin)).status_code == 200
    line = (await client.get("/api/admin/audit?action=LOGOUT_EVERYWHERE", headers=admin)).json()
    own = (await client.get("/api/auth/me", headers=admin)).json()["id"]
    assert [one["actorId"] for one in line["items"]] == [own]
    nobody = f"/api/admin/users/{uuid4()}/sessions"
    assert (await client.delete(nobody, headers=admin)).status_code == 404


async def test_a_changed_password_ends_the_other_sessions(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    await register(client)
    here, there = (await login(client)).json(), (await login(client)).json()
    headers = {"Authorization": f"Bearer {here['accessToken']}"}
    path, new = "/api/auth/password", "battery-horse-correct"
    for body, status in (
        ({"currentPassword": "not the password", "newPassword": new}, 403),
        ({"currentPassword": PASSWORD, "newPassword": "short"}, 422),
        ({"currentPassword": PASSWORD, "newPassword": "x" * 73}, 422),
        ({"newPassword": new}, 422),
        ({"currentPassword": PASSWORD, "newPassword": new}, 204),
    ):
        answer = await client.post(path, json=body, headers=headers)
        assert answer.status_code == status, (body, answer.text)
    assert (await client.post(path, json=body)).status_code == 401
    assert (await client.get("/api/auth/me", headers=headers)).status_code == 200
    other = {"Authorization": f"Bearer {there['accessToken']}"}
    assert (await client.get("/api/auth/me", headers=other)).status_code == 401
    assert (await login(client)).status_code == 401
    assert (await login(client, password=new)).status_code == 200
    assert (await audited(studio)).count("PASSWORD_CHANGED") == 1


async def test_a_token_of_a_later_version_than_the_account_is_refused(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    """The database is restored to a moment before all sessions were ended."""
    await register(client)
    body = (await login(client)).json()
    claims = AccessTokens(studio.settings).read(body["accessToken"])
    for version, status in ((claims.version, 200), (claims.version + 1, 401)):
        token = AccessTokens(studio.settings).issue(
            claims.user_id, "customer", claims.session_id, version
        )
        headers = {"Authorization": f"Bearer {token}"}
        assert (await client.get("/api/auth/me", headers=headers)).status_code == status


async def test_guesses_at_the_current_password_slow_down_too(client: httpx.AsyncClient) -> None:
    await register(client)
    headers = {"Authorization": f"Bearer {(await login(client)).json()['accessToken']}"}
    guess = {"currentPassword": "not the password", "newPassword": "battery-horse-correct"}
    statuses = [
        (await client.post("/api/auth/password", json=guess, headers=headers)).status_code
        for _ in range(6)
    ]
    assert statuses == [403] * 5 + [429]


async def test_role_changes_act_on_the_next_request(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    await register(client)
    session = (await login(client)).json()
    headers = {"Authorization": f"Bearer {session['accessToken']}"}
    admin = await sign_in(client, studio, "admin")
    assert (await client.get("/api/admin/ping", headers=headers)).status_code == 403
    path = f"/api/admin/users/{session['user']['id']}"
    changed = await client.patch(path, json={"role": "admin"}, headers=admin)
    assert changed.status_code == 200
    assert (await client.get("/api/admin/ping", headers=headers)).status_code == 200
    await client.patch(path, json={"role": "customer"}, headers=admin)
    assert (await client.get("/api/admin/ping", headers=headers)).status_code == 403
    assert (await audited(studio)).count("ROLE_CHANGED") == 2
    own = (await client.get("/api/auth/me", headers=admin)).json()["id"]
    answer = await client.patch(f"/api/admin/users/{own}", json={"role": "customer"}, headers=admin)
    assert answer.status_code == 409


async def test_audit_and_users_in_pages(client: httpx.AsyncClient, studio: Studio) -> None:
    admin = await sign_in(client, studio, "admin")
    for number in range(4):
        await register(client, email=f"user{number}@example.com")
    for path in ("/api/admin/users", "/api/admin/audit"):
        ids: list[str] = []
        cursor = ""
        while True:
            query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
            page = (await client.get(path, params=query, headers=admin)).json()
            ids += [item["id"] for item in page["items"]]
            cursor = page["nextCursor"]
            if cursor is None:
                break
        assert len(ids) == len(set(ids)) >= 5
    bad = await client.get("/api/admin/users?cursor=nonsense", headers=admin)
    assert bad.status_code == 400
    assert (await client.get("/api/admin/users?limit=101", headers=admin)).status_code == 422


async def test_the_previous_secret_is_accepted_for_a_while(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers = await sign_in(client, studio)
    old = studio.settings.jwt_secret
    changed = studio.settings.model_copy(
        update={"jwt_secret": type(old)("b" * 40), "jwt_previous_secret": old}  # type: ignore[misc]
    )
    assert old is not None
    token = headers["Authorization"].removeprefix("Bearer ")
    assert AccessTokens(changed).read(token)
    async with open_client(studio) as other:
        assert (await other.get("/api/auth/me", headers=headers)).status_code == 200
