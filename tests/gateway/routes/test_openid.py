"""Signing in by an OpenID provider that a test serves over HTTP."""

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from pydantic import SecretStr
from sqlmodel import select, update

import secret_files
from db.tables import AuditLog, RefreshToken, User
from errors import SetupError
from settings import Settings, load_settings
from studio.accounts.accounts import create_user
from studio.accounts.sessions import close_all_sessions
from studio.ports import Studio
from tests.support.fakes import PASSWORD, open_client, open_studio, sign_in
from tests.support.openid_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    OpenIdServer,
    key_of,
    running_provider,
)

OLD = timedelta(minutes=6)
LOGIN, CALLBACK = "/api/auth/oidc/login", "/api/auth/oidc/callback"


@pytest.fixture
async def provider() -> AsyncIterator[OpenIdServer]:
    async with running_provider() as running:
        yield running


@pytest.fixture
async def studio(settings: Settings, provider: OpenIdServer) -> AsyncIterator[Studio]:
    configured = settings.model_copy(
        update={
            "oidc_issuer": provider.issuer,
            "oidc_client_id": CLIENT_ID,
            "oidc_client_secret": SecretStr(CLIENT_SECRET),
        }
    )
    async with open_studio(configured) as opened:
        yield opened


async def begin(client: httpx.AsyncClient) -> str:
    """The address of the redirect to the provider; the client stores the cookie."""
    answer = await client.get(LOGIN)
    assert answer.status_code == 302, answer.text
    return answer.headers["location"]


async def agree(url: str) -> str:
    """Signs in at the provider and returns path and query of its redirect to the studio."""
    async with httpx.AsyncClient() as browser:
        back = urlsplit((await browser.get(url)).headers["location"])
    assert f"{back.scheme}://{back.netloc}" == "http://studio.test"
    return f"{back.path}?{back.query}"


async def log_in(client: httpx.AsyncClient) -> httpx.Response:
    """Signs in from start to end."""
    return await client.get(await agree(await begin(client)))


async def accounts(studio: Studio) -> list[User]:
    async with studio.database.transaction() as session:
        return list((await session.exec(select(User))).all())


async def audited(studio: Studio) -> list[str]:
    async with studio.database.transaction() as session:
        return list((await session.exec(select(AuditLog.action).order_by(AuditLog.at))).all())  # type: ignore[arg-type]


async def test_a_newcomer_gets_an_account_and_a_session(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    first = await log_in(client)
    assert first.status_code == 200, first.text
    body = first.json()
    assert set(body) == {"accessToken", "refreshToken", "tokenType", "expiresIn", "user"}
    assert body["user"]["email"] == "Ada@example.com"
    assert (body["user"]["name"], body["user"]["role"]) == ("Ada", "customer")
    assert first.headers["cache-control"] == "no-store"
    headers = {"Authorization": f"Bearer {body['accessToken']}"}
    assert (await client.get("/api/auth/me", headers=headers)).json() == body["user"]
    again = (await log_in(client)).json()
    assert again["user"] == body["user"]
    assert await audited(studio) == ["REGISTER", "LOGIN", "LOGIN"]


async def test_the_secret_of_the_client_is_rotated_without_a_failed_sign_in(
    settings: Settings, provider: OpenIdServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As docs/operations.md says: a second secret there, the file here, the first one deleted."""
    monkeypatch.setattr(secret_files, "REREAD_S", 0.0)
    file = tmp_path / "oidc"
    file.write_text(CLIENT_SECRET)
    monkeypatch.setenv("STUDIO_OIDC_ISSUER", provider.issuer)
    monkeypatch.setenv("STUDIO_OIDC_CLIENT_ID", CLIENT_ID)
    monkeypatch.setenv("STUDIO_OIDC_CLIENT_SECRET_FILE", str(file))
    others = {name: value for name, value in settings if not name.startswith("oidc")}
    configured = load_settings().model_copy(update=others)
    async with open_studio(configured) as studio, open_client(studio) as client:
        statuses = [(await log_in(client)).status_code]
        provider.client_secrets = (CLIENT_SECRET, "the second secret")
        statuses.append((await log_in(client)).status_code)
        file.write_text("the second secret")
        provider.client_secrets = ("the second secret",)
        statuses.append((await log_in(client)).status_code)
        file.write_text("")  # changes nothing
        statuses.append((await log_in(client)).status_code)
        provider.client_secrets = ("a third one, which the studio does not know",)
        statuses.append((await log_in(client)).status_code)
    assert statuses == [200, 200, 200, 200, 401]


async def test_what_is_sent_to_the_provider(
    client: httpx.AsyncClient, provider: OpenIdServer
) -> None:
    answer = await client.get(LOGIN)
    parameters = {k: v[0] for k, v in parse_qs(urlsplit(answer.headers["location"]).query).items()}
    assert parameters["response_type"] == "code"
    assert parameters["client_id"] == CLIENT_ID
    assert parameters["redirect_uri"] == f"http://studio.test{CALLBACK}"
    assert parameters["code_challenge_method"] == "S256"
    assert set(parameters["scope"].split()) == {"openid", "email", "profile"}
    assert len(parameters["state"]) >= 43 and len(parameters["nonce"]) >= 43
    assert CLIENT_SECRET not in answer.headers["location"]
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith("studio-login=") and "secure" not in cookie
    assert "httponly" in cookie and "samesite=lax" in cookie
    await client.get(await agree(answer.headers["location"]))
    assert "client_secret" not in provider.token_requests[0]
    assert (await client.head(LOGIN)).status_code == 204


async def test_an_account_keeps_its_subject_when_its_address_changes(
    client: httpx.AsyncClient, studio: Studio, provider: OpenIdServer
) -> None:
    first = (await log_in(client)).json()["user"]
    provider.claims = {"email": "new@example.com", "email_verified": False}
    assert (await log_in(client)).json()["user"] == first
    assert len(await accounts(studio)) == 1


async def test_an_address_that_was_never_verified_is_taken_over_with_its_password_gone(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    """Otherwise a stranger could register another's address in advance and wait."""
    account = await create_user(studio.database, email="ada@example.com", password=PASSWORD)
    credentials = {"email": "ada@example.com", "password": PASSWORD}
    squatter = (await client.post("/api/auth/login", json=credentials)).json()
    headers = {"Authorization": f"Bearer {squatter['accessToken']}"}
    key = (await client.post("/api/auth/keys", json={"name": "a"}, headers=headers)).json()["key"]
    by_key = {"Authorization": f"Bearer {key}"}
    assert (await client.get("/api/auth/me", headers=by_key)).status_code == 200
    linked = await log_in(client)
    assert linked.json()["user"]["id"] == str(account.id)
    for old in (headers, by_key):
        assert (await client.get("/api/auth/me", headers=old)).status_code == 401
    assert (await client.post("/api/auth/login", json=credentials)).status_code == 401
    refreshed = await client.post(
        "/api/auth/refresh", json={"refreshToken": squatter["refreshToken"]}
    )
    assert refreshed.status_code == 401
    assert "LINKED" in await audited(studio)


async def test_another_subject_with_the_same_address_gets_nothing(
    client: httpx.AsyncClient, provider: OpenIdServer
) -> None:
    assert (await log_in(client)).status_code == 200
    provider.claims = {"sub": "user-2"}
    assert (await log_in(client)).status_code == 403


UNVERIFIED: list[dict[str, Any]] = [
    {"email_verified": False}, {"email_verified": None}, {"email_verified": "true"},
    {"email": None}, {"email": 5}, {"email": "no address"},
]  # fmt: skip


async def test_without_a_verified_address_there_is_no_account(
    client: httpx.AsyncClient, studio: Studio, provider: OpenIdServer
) -> None:
    for claims in UNVERIFIED:
        provider.claims = claims
        refused = await log_in(client)
        assert refused.status_code == (422 if claims.get("email") == "no address" else 403), claims
    assert await accounts(studio) == []


WRONG_CLAIMS: list[dict[str, Any]] = [
    {"iss": "http://127.0.0.1:1"}, {"iss": None}, {"aud": "another"}, {"aud": None},
    {"aud": [CLIENT_ID, "another"]}, {"azp": "another"}, {"exp": 1}, {"exp": None},
    {"iat": None}, {"iat": 99999999999}, {"nonce": "another"}, {"nonce": None}, {"sub": None},
    {"sub": ""}, {"sub": "x" * 300}, {"sub": "a\x00b"}, {"name": "a\x00b"},
    {"email": "a\x00@example.com"},
]  # fmt: skip


async def test_an_id_token_that_is_not_for_us(
    client: httpx.AsyncClient, studio: Studio, provider: OpenIdServer
) -> None:
    for claims in WRONG_CLAIMS:
        provider.claims = claims
        assert (await log_in(client)).status_code == 401, claims
    assert await accounts(studio) == []


async def test_an_id_token_of_nobody_we_know(
    client: httpx.AsyncClient, studio: Studio, provider: OpenIdServer
) -> None:
    published, provider.signing_key = provider.published, key_of("k1", turn=1)
    assert (await log_in(client)).status_code == 401  # another key under the known name
    claims = {"iss": provider.issuer, "aud": CLIENT_ID, "sub": "x", "exp": 2**33, "iat": 1}

    def encoded(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    provider.id_token = f"{encoded({'alg': 'none'})}.{encoded(claims)}."
    assert (await log_in(client)).status_code == 401
    for secret in (CLIENT_SECRET, json.dumps(published[0].as_dict(private=False))):
        key = OctKey.import_key(secret)  # the public key as a secret: the oldest trick
        provider.id_token = jwt.encode({"alg": "HS256"}, claims, key, algorithms=["HS256"])
        assert (await log_in(client)).status_code == 401
    provider.id_token = "no.token.at all"
    assert (await log_in(client)).status_code == 401
    assert await accounts(studio) == []


async def test_the_provider_changes_its_keys(
    client: httpx.AsyncClient, provider: OpenIdServer
) -> None:
    assert (await log_in(client)).status_code == 200
    provider.signing_key = key_of("k2")
    provider.published = [provider.signing_key]
    assert (await log_in(client)).status_code == 200


async def test_a_login_ends_once_and_only_where_it_began(
    client: httpx.AsyncClient, studio: Studio, provider: OpenIdServer
) -> None:
    back = await agree(await begin(client))
    async with open_client(studio) as other:  # a stranger's browser, given the victim's way back
        assert (await other.get(back)).status_code == 401
        await begin(other)
        assert (await other.get(back)).status_code == 401
    assert provider.token_requests == []
    cookies = dict(client.cookies)
    assert (await client.get(back)).status_code == 200
    client.cookies.update(cookies)
    assert (await client.get(back)).status_code == 401
    assert len(provider.token_requests) == 1
    for query in ("", "?state=x", "?code=x", "?state=x&code=x", "?error=access_denied&state=x"):
        assert (await client.get(CALLBACK + query)).status_code in (401, 422)


NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Accept": "text/html"}
SESSION = "/api/auth/oidc/session"


async def navigate(client: httpx.AsyncClient) -> str:
    """Opens the callback as a browser and returns the fragment of the redirect to the page."""
    answer = await client.get(await agree(await begin(client)), headers=NAVIGATION)
    assert answer.status_code == 303 and answer.headers["cache-control"] == "no-store"
    page, _, fragment = answer.headers["location"].partition("#")
    assert page == "http://studio.test/" and not answer.content
    return str(fragment)


async def test_a_navigation_ends_at_the_page_with_a_code_that_works_once(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    code = (await navigate(client)).removeprefix("signin=")
    cookies = dict(client.cookies)
    async with open_client(studio) as other:  # whoever reads the code has not the cookie
        stolen = await other.post(SESSION, json={"code": code})
    assert stolen.status_code == 401
    code = (await navigate(client)).removeprefix("signin=")
    opened = await client.post(SESSION, json={"code": code})
    assert opened.status_code == 200 and dict(client.cookies) == {}
    headers = {"Authorization": f"Bearer {opened.json()['accessToken']}"}
    assert (await client.get("/api/auth/me", headers=headers)).json() == opened.json()["user"]
    client.cookies.update(cookies)
    assert (await client.post(SESSION, json={"code": code})).status_code == 401
    assert (await audited(studio)).count("LOGIN") == 1


async def test_a_sign_out_everywhere_ends_a_code_too(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    code = (await navigate(client)).removeprefix("signin=")
    (account,) = await accounts(studio)
    await close_all_sessions(studio, account.id, actor_id=account.id, ip=None)
    assert (await client.post(SESSION, json={"code": code})).status_code == 401


async def test_a_navigation_that_fails_ends_at_the_page_too(
    client: httpx.AsyncClient, provider: OpenIdServer
) -> None:
    provider.claims = {"aud": "another"}
    assert await navigate(client) == "signin-failed"
    refused = await client.get(CALLBACK + "?error=access_denied&state=x", headers=NAVIGATION)
    assert refused.headers["location"] == "http://studio.test/#signin-failed"


async def test_a_code_needs_its_own_verifier(
    client: httpx.AsyncClient, provider: OpenIdServer
) -> None:
    back = await agree(await begin(client))
    (code,) = provider.codes
    provider.codes[code]["code_challenge"] = "another"
    assert (await client.get(back)).status_code == 401


LIES: list[dict[str, Any]] = [
    {"issuer": "http://127.0.0.1:1"}, {"issuer": None}, {"token_endpoint": None},
    {"jwks_uri": "file:///etc/passwd"}, {"authorization_endpoint": "javascript:alert(1)"},
]  # fmt: skip


async def test_a_provider_that_describes_itself_as_another(
    client: httpx.AsyncClient, provider: OpenIdServer
) -> None:
    for metadata in LIES:
        provider.metadata = metadata
        assert (await client.get(LOGIN)).status_code == 502, metadata
    provider.metadata = {}
    assert (await log_in(client)).status_code == 200


async def test_a_provider_that_is_ill_or_gone(
    client: httpx.AsyncClient, studio: Studio, provider: OpenIdServer
) -> None:
    provider.token_status = 500
    assert (await log_in(client)).status_code == 502
    gone = studio.settings.model_copy(update={"oidc_issuer": "http://127.0.0.1:1"})
    async with open_client(replace(studio, settings=gone)) as other:
        assert (await other.get(LOGIN)).status_code == 502
        assert await sign_in(other, studio)  # passwords don't need it


async def test_without_a_provider_there_is_no_such_login(
    studio: Studio, settings: Settings
) -> None:
    async with open_client(replace(studio, settings=settings)) as client:
        assert (await client.get(LOGIN)).status_code == 404
        assert (await client.head(LOGIN)).status_code == 404
        assert (await client.post(SESSION, json={"code": "x"})).status_code == 404
        assert (await client.get(CALLBACK + "?state=x&code=x")).status_code == 404


@pytest.mark.parametrize(
    "options",
    [{"ISSUER": "https://id.example"}, {"CLIENT_ID": "x", "CLIENT_SECRET": "x"},
     {"ISSUER": "http://id.example", "CLIENT_ID": "x", "CLIENT_SECRET": "x"}],
)  # fmt: skip
def test_half_a_provider_is_refused(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, str]
) -> None:
    for name, value in options.items():
        monkeypatch.setenv(f"STUDIO_OIDC_{name}", value)
    with pytest.raises(SetupError, match="STUDIO_OIDC_"):
        load_settings()


async def test_an_account_of_a_provider_ends_soon_after_a_sign_in(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    body = (await log_in(client)).json()
    headers = {"Authorization": f"Bearer {body['accessToken']}"}
    async with studio.database.transaction() as session:
        await session.exec(update(RefreshToken).values(issued_at=datetime.now(UTC) - OLD))
    refused = await client.request("DELETE", "/api/auth/me", json={}, headers=headers)
    assert refused.status_code == 403 and "five minutes" in refused.json()["detail"]
    body = (await log_in(client)).json()
    headers = {"Authorization": f"Bearer {body['accessToken']}"}
    done = await client.request("DELETE", "/api/auth/me", json={}, headers=headers)
    assert done.status_code == 204, done.text
    assert await accounts(studio) == []
    assert (await client.get("/api/auth/me", headers=headers)).status_code == 401
