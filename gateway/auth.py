"""Bearer tokens: short-lived JWTs, which are issued and verified here, and API keys."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID, uuid4

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from starlette.datastructures import Headers
from starlette.types import Scope

from errors import NotAuthenticated
from secret_files import Following
from settings import Settings
from studio.accounts.keys import ApiKeys, KeyAccount, is_api_key

ISSUER = "ai-fashion-studio"
AUDIENCE = "ai-fashion-studio-api"
TOKEN_TYPE = "at+jwt"  # RFC 9068; not a secret  # noqa: S105
ALGORITHMS = ["HS256"]
CLOCK_SKEW_S = 2
MAX_TOKEN_CHARS = 4096
VERIFIED_TOKENS = 1024


def bearer_token(scope: Scope) -> str | None:
    """The token of the header Authorization; None without one."""
    scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


@dataclass(frozen=True)
class AccessClaims:
    """The claims of a valid token: the account, its session, and the version of the account."""

    user_id: UUID
    session_id: UUID
    version: int


class TokenKeys:
    """The keys of access tokens; `verified` returns the claims of a token signed by one of them."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """Of the secrets, the first signs and all verify."""
        self._all = [OctKey.import_key(secret) for secret in secrets]
        self.signing = self._all[0]
        # The claims under a valid signature never change; their times are checked at every call.
        self.verified = lru_cache(maxsize=VERIFIED_TOKENS)(self._verify)

    def _verify(self, token: str) -> dict[str, Any]:
        """The claims of a token of the studio's type that one of its keys has signed."""
        for key in self._all:
            with suppress(JoseError, ValueError, TypeError, KeyError, AttributeError):
                decoded = jwt.decode(token, key, algorithms=ALGORITHMS)
                if decoded.header.get("typ") == TOKEN_TYPE:
                    return decoded.claims
        raise ValueError("none of the studio's keys signed this token, or its type is wrong")


class AccessTokens:
    """Signs tokens with the current secret; accepts those of the previous secret too."""

    def __init__(self, settings: Settings) -> None:
        self._keys = Following(settings.jwt_secrets, TokenKeys)
        self.lifetime_s = settings.access_token_minutes * 60
        self._claims = jwt.JWTClaimsRegistry(
            leeway=CLOCK_SKEW_S,
            iss={"essential": True, "value": ISSUER},
            aud={"essential": True, "value": AUDIENCE},
            exp={"essential": True},
            iat={"essential": True},
            jti={"essential": True},
            sub={"essential": True},
            sid={"essential": True},
            ver={"essential": True, "allow_blank": True},
        )

    def issue(self, user_id: UUID, role: str, session_id: UUID, version: int) -> str:
        """Issues a token for one session; its role is for information and never grants a right."""
        now_s = int(time.time())
        claims: dict[str, Any] = {
            "iss": ISSUER, "aud": AUDIENCE, "sub": str(user_id), "role": role,
            "jti": uuid4().hex, "sid": str(session_id), "ver": version,
            "iat": now_s, "exp": now_s + self.lifetime_s,
        }  # fmt: skip
        header = {"alg": ALGORITHMS[0], "typ": TOKEN_TYPE}
        return jwt.encode(header, claims, self._keys().signing, algorithms=ALGORITHMS)

    def read(self, token: str) -> AccessClaims:
        """Checks a token's signature, type, issuer, audience and times, and returns its claims.

        Raises:
            NotAuthenticated: one of them is wrong; the error does not say which.
        """
        if len(token) <= MAX_TOKEN_CHARS:
            with suppress(JoseError, ValueError, TypeError, KeyError, AttributeError):
                return self._read(self._keys().verified(token))
        raise NotAuthenticated("the access token is not valid or has expired")

    def _read(self, claims: dict[str, Any]) -> AccessClaims:
        self._claims.validate(claims)
        if not isinstance(claims["ver"], int):
            raise ValueError("the version is not a number")
        return AccessClaims(UUID(claims["sub"]), UUID(claims["sid"]), claims["ver"])


Identity = AccessClaims | KeyAccount


class Credentials:
    """Finds out who sends a bearer token: an access token or an API key."""

    def __init__(self, tokens: AccessTokens, keys: ApiKeys) -> None:
        self._tokens = tokens
        self._keys = keys

    async def identify(self, token: str) -> Identity:
        """The claims of an access token, whose session is not looked up; or a key's account.

        Raises:
            NotAuthenticated: the token is not valid.
            Unavailable: PostgreSQL, which has the keys, can't be reached.
        """
        return await self._keys.find(token) if is_api_key(token) else self._tokens.read(token)
