"""A small OpenID provider over real HTTP, whose answers tests can falsify."""

import asyncio
import base64
import hashlib
import secrets
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any
from urllib.parse import urlencode

import uvicorn
from fastapi import FastAPI, Request
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from starlette.responses import JSONResponse, RedirectResponse, Response

CLIENT_ID, CLIENT_SECRET = "the-studio", "a secret of the provider's"


@cache
def key_of(name: str, turn: int = 0) -> RSAKey:
    """A signing key with this key id; each turn has a different key."""
    return RSAKey.generate_key(2048, {"kid": name})


@dataclass
class OpenIdServer:
    """The claims about its only user, and the faults that a test has set."""

    issuer: str
    claims: dict[str, Any] = field(default_factory=dict)
    """Replace the correct claims; None removes a claim."""
    header: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    client_secrets: tuple[str, ...] = (CLIENT_SECRET,)
    signing_key: RSAKey = field(default_factory=partial(key_of, "k1"))
    published: list[RSAKey] = field(default_factory=list)
    id_token: str | None = None
    token_status: int = 200
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    token_requests: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.published = [self.signing_key]

    def discovery(self) -> dict[str, Any]:
        """The metadata document of OpenID Connect Discovery 1.0."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
        } | self.metadata

    def agree(self, query: dict[str, str]) -> str:
        """The address that the user returns to with a code, after agreeing to the sign-in."""
        code = secrets.token_urlsafe(16)
        self.codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def redeem(self, form: dict[str, str], authorization: str) -> Response:
        """Checks client, code, redirect and PKCE; a code is valid once."""
        self.token_requests.append(form)
        expected = [
            base64.b64encode(f"{CLIENT_ID}:{secret}".encode()).decode()
            for secret in self.client_secrets
        ]
        query = self.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if self.token_status != 200:
            return JSONResponse({"error": "server_error"}, self.token_status)
        if authorization.removeprefix("Basic ") not in expected:
            return JSONResponse({"error": "invalid_client"}, 401)
        if (
            query is None
            or query["redirect_uri"] != form.get("redirect_uri")
            or (query["code_challenge_method"], query["code_challenge"]) != ("S256", challenge)
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        id_token = self.id_token or self.sign(query["nonce"])
        return JSONResponse(
            {"access_token": "x", "token_type": "Bearer", "expires_in": 60, "id_token": id_token}
        )

    def sign(self, nonce: str) -> str:
        """The signed ID token of the user."""
        now_s = int(time.time())
        right = {
            "iss": self.issuer, "aud": CLIENT_ID, "sub": "user-1", "iat": now_s,
            "exp": now_s + 60, "nonce": nonce, "email": "Ada@example.com",
            "email_verified": True, "name": "Ada",
        }  # fmt: skip
        claims = {k: v for k, v in (right | self.claims).items() if v is not None}
        header = {"alg": "RS256", "kid": self.signing_key.kid} | self.header
        return jwt.encode(header, claims, self.signing_key, algorithms=["RS256"])

    def app(self) -> FastAPI:
        """The four routes of the provider."""
        app = FastAPI()

        @app.get("/.well-known/openid-configuration")
        async def discovery() -> dict[str, Any]:
            return self.discovery()

        @app.get("/jwks")
        async def jwks() -> Any:
            return KeySet(list(self.published)).as_dict(private=False)

        @app.get("/authorize")
        async def authorize(request: Request) -> RedirectResponse:
            return RedirectResponse(self.agree(dict(request.query_params)), 302)

        @app.post("/token")
        async def token(request: Request) -> Response:
            form = {name: str(value) for name, value in (await request.form()).items()}
            return self.redeem(form, request.headers.get("authorization", ""))

        return app


@asynccontextmanager
async def running_provider() -> AsyncIterator[OpenIdServer]:
    """Runs the provider until the block ends."""
    listening = socket.create_server(("127.0.0.1", 0))
    provider = OpenIdServer(f"http://127.0.0.1:{listening.getsockname()[1]}")
    config = uvicorn.Config(provider.app(), log_config=None, access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield provider
    finally:
        server.should_exit = True
        await serving
