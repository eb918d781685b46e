"""PayPal's access token, shared by all replicas and renewed before it expires."""

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
from secret_files import Following

EARLY_S = 300
"""A token is renewed this long before it expires."""


class SharedToken:
    """Supplies an OAuth client with a token, which is stored in the cache.

    The token can move money, so it is encrypted with a key that is derived from the client's
    secret. Without the cache each replica fetches a token of its own.
    """

    def __init__(
        self, client: AsyncOAuth2Client, account: PayPalAccount, cache: RedisCache
    ) -> None:
        self._client = client
        self._cache = cache
        self._lock = asyncio.Lock()
        self._secret = account.client_secret
        self._seal = Following(account.client_secret, seal_of)
        whose = hashlib.sha256(f"{account.site.api} {account.client_id}".encode()).hexdigest()[:16]
        self._key = f"paypal:token:{whose}"

    async def supply(self, refused: str | None = None) -> str:
        """Gives the client a token that is valid for a while and is not the refused one.

        Other calls may be using the client's token, so it is replaced and never removed.

        Raises:
            UpstreamFailed: PayPal refuses our credentials.
        """
        async with self._lock:
            token = self._client.token
            if not is_fresh(token) or token["access_token"] == refused:
                token = await self._read_cache()
                if token is None or token["access_token"] == refused:
                    token = await self._fetch()
                self._client.token = token
            return str(token["access_token"])

    async def _read_cache(self) -> dict[str, Any] | None:
        try:
            sealed = await self._cache.get(self._key)
            token = json.loads(self._seal().decrypt(sealed)) if sealed else None
        except (Unavailable, InvalidToken, ValueError):
            return None
        return token if is_fresh(token) else None

    async def _fetch(self) -> dict[str, Any]:
        self._client.client_secret = self._secret()
        try:
            token: dict[str, Any] = await self._client.fetch_token()
        except OAuthError as error:
            raise UpstreamFailed(f"PayPal refuses our credentials: {error.error}") from error
        left_s = int(token["expires_at"] - time.time()) - EARLY_S
        if left_s > 0:
            try:
                sealed = self._seal().encrypt(json.dumps(token).encode())
                await self._cache.set(self._key, sealed, lifetime_s=left_s)
            except Unavailable:
                pass
        return token


def seal_of(client_secret: str) -> Fernet:
    """Encrypts with a key that is derived from the client's secret."""
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(client_secret.encode()).digest()))


def is_fresh(token: dict[str, Any] | None) -> bool:
    """Whether it will be valid for a while."""
    return token is not None and token.get("expires_at", 0) - time.time() > EARLY_S
