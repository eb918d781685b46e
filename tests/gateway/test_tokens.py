"""Access tokens: every part is verified."""

import base64
import json
import time
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from errors import NotAuthenticated
from gateway.auth import AUDIENCE, ISSUER, AccessTokens
from settings import Settings
from tests.support.fakes import SECRET


def make_tokens(**changes: Any) -> AccessTokens:
    return AccessTokens(Settings(**({"jwt_secret": SECRET} | changes)))


TOKENS = make_tokens()
USER, SESSION = uuid4(), uuid4()


def good_claims(**changes: Any) -> dict[str, Any]:
    now_s = int(time.time())
    claims = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": str(USER), "role": "customer", "jti": "j",
        "sid": str(SESSION), "ver": 0, "iat": now_s, "exp": now_s + 60,
    }  # fmt: skip
    return {name: value for name, value in (claims | changes).items() if value is not ...}


def signed(claims: dict[str, Any], header: dict[str, Any] | None = None, key: str = SECRET) -> str:
    return jwt.encode(
        {"alg": "HS256", "typ": "at+jwt"} | (header or {}),
        claims,
        OctKey.import_key(key),
        algorithms=["HS256", "HS384", "HS512"],
    )


def test_what_was_issued_is_read_back() -> None:
    claims = TOKENS.read(TOKENS.issue(USER, "customer", SESSION, 7))
    assert (claims.user_id, claims.session_id, claims.version) == (USER, SESSION, 7)
    assert TOKENS.read(signed(good_claims())).user_id == USER


def test_a_token_that_was_taken_before_expires_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    token = signed(good_claims())
    assert TOKENS.read(token).user_id == USER
    now_s = time.time()
    monkeypatch.setattr(time, "time", lambda: now_s + 63)
    with pytest.raises(NotAuthenticated):
        TOKENS.read(token)


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "someone-else"},
        {"aud": "another-api"},
        {"aud": ["another-api"]},
        {"exp": 1},
        {"exp": int(time.time()) - 10},
        {"exp": "soon"},
        {"exp": True},
        {"iat": int(time.time()) + 3600},
        {"nbf": int(time.time()) + 3600},
        {"sub": "not-a-uuid"},
        {"sub": 5},
        {"sid": ["x"]},
        {"ver": "0"},
        {"ver": None},
        *({name: ...} for name in ("iss", "aud", "sub", "sid", "ver", "iat", "exp", "jti")),
    ],
)
def test_wrong_or_missing_claims(changes: dict[str, Any]) -> None:
    with pytest.raises(NotAuthenticated):
        TOKENS.read(signed(good_claims(**changes)))


@pytest.mark.parametrize(
    "token",
    [
        signed(good_claims(), {"typ": "JWT"}),
        signed(good_claims(), {"typ": "rt+jwt"}),
        signed(good_claims(), {"alg": "HS512"}),
        signed(good_claims(), key="another secret of more than 32 bytes"),
        "",
        "a.b.c",
        "....",
        "x" * 10_000,
        "Ünïcödé",
    ],
)
def test_wrong_headers_keys_and_shapes(token: str) -> None:
    with pytest.raises(NotAuthenticated):
        TOKENS.read(token)


def encoded(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS256"])
def test_unsigned_tokens(algorithm: str) -> None:
    header = encoded({"alg": algorithm, "typ": "at+jwt"})
    for signature in ("", "AA"):
        with pytest.raises(NotAuthenticated):
            TOKENS.read(f"{header}.{encoded(good_claims())}.{signature}")


def test_an_asymmetric_token_is_refused() -> None:
    key = RSAKey.generate_key(2048)
    header = {"alg": "RS256", "typ": "at+jwt", "jwk": key.as_dict(private=False)}
    token = jwt.encode(header, good_claims(), key, algorithms=["RS256"])
    with pytest.raises(NotAuthenticated):
        TOKENS.read(token)


def test_two_secrets_while_one_is_rotated_out() -> None:
    old = TOKENS.issue(USER, "customer", SESSION, 0)
    new_secret = "the new secret of more than thirty-two bytes"
    assert make_tokens(jwt_secret=new_secret, jwt_previous_secret=SECRET).read(old)
    with pytest.raises(NotAuthenticated):
        make_tokens(jwt_secret=new_secret).read(old)


GOOD = signed(good_claims())


@given(st.integers(0, len(GOOD) - 1), st.characters())
def test_one_changed_character_is_enough(place: int, letter: str) -> None:
    token = GOOD[:place] + letter + GOOD[place + 1 :]
    try:
        claims = TOKENS.read(token)
    except NotAuthenticated:
        return
    # Base64 leaves bits of the last character unused, so a twin may spell the same token.
    assert isinstance(claims.user_id, UUID)
    assert token == GOOD or place in (GOOD.index("."), len(GOOD) - 1)


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_noise_is_refused_quietly(token: str) -> None:
    with pytest.raises(NotAuthenticated):
        TOKENS.read(token)
