"""PayPal's access token: fetched early, dropped when refused, shared by all replicas."""

import asyncio
import base64
import hashlib
import json
import time
from typing import Any

from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from cryptography.fernet import Fernet, InvalidToken

from errors import Unavailable, UpstreamFailed
from integrations.cache import RedisCache
from integrations.paypal.account import PayPalAccount

EARLY_S = 300
"""A token is fetched again so long before its end."""


class SharedToken:
    """Keeps one OAuth client supplied; the cache holds the token sealed with the client's secret.

    Whoever reads the cache could otherwise move money. A cache that is away only costs a request.
    """

    def __init__(
        self, client: AsyncOAuth2Client, account: PayPalAccount, cache: RedisCache
    ) -> None:
        self._client = client
        self._cache = cache
        self._lock = asyncio.Lock()
        secret = hashlib.sha256(account.client_secret.encode()).digest()
        self._seal = Fernet(base64.urlsafe_b64encode(secret))
        whose = hashlib.sha256(f"{account.site.api} {account.client_id}".encode()).hexdigest()[:16]
        self._key = f"paypal:token:{whose}"

    async def supply(self, refused: str | None = None) -> str:
        """Gives the client a token that is valid for a while, and is not the refused one.

        Others may be using the client's token: it is replaced, never taken away.

        Raises:
            UpstreamFailed: PayPal refuses our credentials.
        """
        async with self._lock:
            token = self._client.token
            if not is_fresh(token) or token["access_token"] == refused:
                token = await self._remembered()
                if token is None or token["access_token"] == refused:
                    token = await self._fetch()
                self._client.token = token
            return str(token["access_token"])

    async def _remembered(self) -> dict[str, Any] | None:
        try:
            sealed = await self._cache.get(self._key)
            token = json.loads(self._seal.decrypt(sealed)) if sealed else None
        except (Unavailable, InvalidToken, ValueError):
            return None
        return token if is_fresh(token) else None

    async def _fetch(self) -> dict[str, Any]:
        try:
            token: dict[str, Any] = await self._client.fetch_token()
        except OAuthError as error:
            raise UpstreamFailed(f"PayPal refuses our credentials: {error.error}") from error
        left_s = int(token["expires_at"] - time.time()) - EARLY_S
        if left_s > 0:
            try:
                sealed = self._seal.encrypt(json.dumps(token).encode())
                await self._cache.set(self._key, sealed, lifetime_s=left_s)
            except Unavailable:
                pass
        return token


def is_fresh(token: dict[str, Any] | None) -> bool:
    """Whether it will be valid for a while."""
    return token is not None and token.get("expires_at", 0) - time.time() > EARLY_S
