"""An OpenID provider as its relying party: authorization code with PKCE, ID token checked by us."""

import secrets
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
"""Asymmetric ones only: the client secret signs nothing."""
SCOPE = "openid email profile"
TIMEOUT_S = 10.0
CLOCK_SKEW_S = 30
NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")


@dataclass(frozen=True)
class Attempt:
    """One login on its way: what our side has to find again in the provider's answer."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def begin(cls) -> "Attempt":
        """Three independent secrets of 256 bits."""
        return cls(*(secrets.token_urlsafe(32) for _ in range(3)))


@dataclass(frozen=True)
class Identity:
    """Whom the provider vouches for; `email` only where it says that it verified it."""

    issuer: str
    subject: str
    email: str | None
    name: str | None


class OpenIdProvider:
    """One configured provider, found through its discovery document."""

    def __init__(
        self, *, issuer: str, client_id: str, client_secret: str, redirect_uri: str
    ) -> None:
        self.issuer = issuer
        self._client_id = client_id
        self._metadata: dict[str, Any] = {}
        self._client = AsyncOAuth2Client(
            client_id,
            client_secret,
            scope=SCOPE,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            timeout=TIMEOUT_S,
            trust_env=False,
            follow_redirects=False,
        )
        self._plain = httpx2.AsyncClient(timeout=TIMEOUT_S, trust_env=False)

    async def login_url(self, attempt: Attempt) -> str:
        """Where the browser goes.

        Raises:
            UpstreamFailed: the provider can't be discovered.
        """
        metadata = await self._discover()
        url, _ = self._client.create_authorization_url(
            metadata["authorization_endpoint"],
            state=attempt.state,
            nonce=attempt.nonce,
            code_verifier=attempt.verifier,
        )
        return str(url)

    async def redeem(self, code: str, attempt: Attempt) -> Identity:
        """The code of the browser's return -> whom it stands for.

        Raises:
            NotAuthenticated: the provider refuses the code, or its ID token is not for us.
            UpstreamFailed: the provider does not answer as one should.
        """
        metadata = await self._discover()
        try:
            token: dict[str, Any] = await self._client.fetch_token(
                metadata["token_endpoint"],
                grant_type="authorization_code",
                code=code,
                code_verifier=attempt.verifier,
            )
        except OAuthError:
            raise NotAuthenticated("the provider refuses this login; begin anew") from None
        except (httpx2.HTTPError, ValueError) as error:
            raise UpstreamFailed("the OpenID provider does not answer") from error
        finally:
            self._client.token = None  # what it lets one do there is nothing that we do
        # Asked for at every login: a provider may have changed its keys since.
        keys = await self._get(metadata["jwks_uri"])
        return self._read(token.get("id_token"), keys, attempt.nonce)

    def _read(self, id_token: object, keys: dict[str, Any], nonce: str) -> Identity:
        """OpenID Connect Core 3.1.3.7."""
        try:
            found = jwt.decode(
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
            registry.validate(found.claims)
            return self._identify(found.claims)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise NotAuthenticated("the provider's answer is not valid; begin anew") from error

    def _identify(self, claims: dict[str, Any]) -> Identity:
        audience, party = claims["aud"], claims.get("azp", self._client_id)
        if party != self._client_id or (isinstance(audience, list) and len(audience) != 1):
            raise ValueError("for somebody else too")
        if not isinstance(claims["sub"], str) or len(claims["sub"]) > 255:
            raise ValueError("no subject")
        email, name = claims.get("email"), claims.get("name")
        verified = claims.get("email_verified") is True and isinstance(email, str)
        return Identity(
            issuer=self.issuer,
            subject=claims["sub"],
            email=email if verified else None,
            name=name if isinstance(name, str) else None,
        )

    async def _discover(self) -> dict[str, Any]:
        if not self._metadata:
            url = self.issuer.rstrip("/") + "/.well-known/openid-configuration"
            metadata = await self._get(url)
            safe = all(
                urlsplit(str(metadata.get(name))).scheme == urlsplit(self.issuer).scheme
                for name in NEEDED
            )
            if metadata.get("issuer") != self.issuer or not safe:
                raise UpstreamFailed("the OpenID provider describes itself as another one")
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
        """Closes what is still open."""
        await self._client.aclose()
        await self._plain.aclose()
