"""A client of an OpenID provider: authorization code flow with PKCE, and ID token validation."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from errors import NotAuthenticated, UpstreamFailed

ALGORITHMS = ["RS256", "PS256", "ES256"]
"""Only asymmetric algorithms, so that the client secret can't sign ID tokens."""
SCOPE = "openid email profile"
TIMEOUT_S = 10.0
CLOCK_SKEW_S = 30
NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")


@dataclass(frozen=True)
class LoginAttempt:
    """The secrets of one login, which the provider's answer has to contain or match."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def begin(cls) -> "LoginAttempt":
        """Three independent secrets of 256 bits."""
        return cls(*(secrets.token_urlsafe(32) for _ in range(3)))


@dataclass(frozen=True)
class Identity:
    """The identity that the provider confirms; `email` only if it has verified the address."""

    issuer: str
    subject: str
    email: str | None
    name: str | None


class OpenIdProvider:
    """The client of one provider, which is described by its discovery document."""

    def __init__(
        self, *, issuer: str, client_id: str, client_secret: Callable[[], str], redirect_uri: str
    ) -> None:
        self.issuer = issuer
        self._client_id = client_id
        self._secret = client_secret
        self._metadata: dict[str, Any] = {}
        self._client = AsyncOAuth2Client(
            client_id,
            client_secret(),
            scope=SCOPE,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            timeout=TIMEOUT_S,
            trust_env=False,
            follow_redirects=False,
        )
        self._plain = httpx2.AsyncClient(timeout=TIMEOUT_S, trust_env=False)

    async def login_url(self, attempt: LoginAttempt) -> str:
        """The provider's address for the browser.

        Raises:
            UpstreamFailed: the provider's discovery document can't be read.
        """
        metadata = await self._discover()
        url, _ = self._client.create_authorization_url(
            metadata["authorization_endpoint"],
            state=attempt.state,
            nonce=attempt.nonce,
            code_verifier=attempt.verifier,
        )
        return str(url)

    async def redeem(self, code: str, attempt: LoginAttempt) -> Identity:
        """Exchanges the code that the browser brought back for the identity.

        Raises:
            NotAuthenticated: the provider refuses the code, or its ID token is not valid.
            UpstreamFailed: the provider does not answer, or not as specified.
        """
        metadata = await self._discover()
        self._client.client_secret = self._secret()
        try:
            token: dict[str, Any] = await self._client.fetch_token(
                metadata["token_endpoint"],
                grant_type="authorization_code",
                code=code,
                code_verifier=attempt.verifier,
            )
        except OAuthError:
            raise NotAuthenticated("the provider refuses this login; start again") from None
        except (httpx2.HTTPError, ValueError) as error:
            raise UpstreamFailed("the OpenID provider does not answer") from error
        finally:
            self._client.token = None  # the studio does not use the provider's API
        # Fetched at every login, because a provider may change its keys.
        keys = await self._get(metadata["jwks_uri"])
        return self._read(token.get("id_token"), keys, attempt.nonce)

    def _read(self, id_token: object, keys: dict[str, Any], nonce: str) -> Identity:
        """Validates an ID token, as OpenID Connect Core 3.1.3.7 requires."""
        try:
            token = jwt.decode(
                str(id_token), KeySet.import_key_set(cast(Any, keys)), algorithms=ALGORITHMS
            )
            registry = jwt.JWTClaimsRegistry(
                leeway=CLOCK_SKEW_S,
                iss={"essential": True, "value": self.issuer},
                aud={"essential": True, "value": self._client_id},
                sub={"essential": True},
                exp={"essential": True},
                iat={"essential": True},
                nonce={"essential": True, "value": nonce},
            )
            registry.validate(token.claims)
            return self._identify(token.claims)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise NotAuthenticated("the provider's answer is not valid; start again") from error

    def _identify(self, claims: dict[str, Any]) -> Identity:
        audience, party = claims["aud"], claims.get("azp", self._client_id)
        if party != self._client_id or (isinstance(audience, list) and len(audience) != 1):
            raise ValueError("the token is also for another client")
        if not isinstance(claims["sub"], str) or len(claims["sub"]) > 255:
            raise ValueError("no subject")
        email, name = claims.get("email"), claims.get("name")
        is_verified = claims.get("email_verified") is True and isinstance(email, str)
        return Identity(
            issuer=self.issuer,
            subject=claims["sub"],
            email=email if is_verified else None,
            name=name if isinstance(name, str) else None,
        )

    async def _discover(self) -> dict[str, Any]:
        if not self._metadata:
            url = self.issuer.rstrip("/") + "/.well-known/openid-configuration"
            metadata = await self._get(url)
            is_safe = all(
                urlsplit(str(metadata.get(name))).scheme == urlsplit(self.issuer).scheme
                for name in NEEDED
            )
            if metadata.get("issuer") != self.issuer or not is_safe:
                raise UpstreamFailed(
                    "the OpenID provider's discovery document names another issuer"
                )
            self._metadata = metadata
        return self._metadata

    async def _get(self, url: str) -> dict[str, Any]:
        try:
            answer = await self._plain.get(url)
            answer.raise_for_status()
            return dict(answer.json())
        except (httpx2.HTTPError, ValueError, TypeError) as error:
            raise UpstreamFailed("the OpenID provider does not answer") from error

    async def aclose(self) -> None:
        """Closes all connections."""
        await self._client.aclose()
        await self._plain.aclose()
