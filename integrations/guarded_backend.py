"""Connects to public hosts only: every address of a name is checked before it is used."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import anyio
import httpcore

from errors import Invalid, UpstreamFailed
from integrations.addresses import Address, parse_addresses

MAX_DIALS = 3
"""Addresses of a host that are tried."""

Resolver = Callable[[str, int], Awaitable[list[str]]]
"""Looks up the addresses of a host and port."""


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Resolves a name once, checks all its addresses, and connects to an address that it checked.

    Every connection is made here, so no redirect, retry or second look-up bypasses the check.
    """

    def __init__(self, resolve: Resolver, is_allowed: Callable[[Address], bool]) -> None:
        self._resolve = resolve
        self._is_allowed = is_allowed
        self._dialer = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the base class names it
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connects to one of the host's addresses.

        Raises:
            Invalid: one of the addresses is not public.
            UpstreamFailed: the host has no address, or does not answer.
        """
        try:
            addresses = parse_addresses(await self._resolve(host, port))
        except (OSError, ValueError):
            addresses = []
        if not addresses:
            raise UpstreamFailed("the host of the picture can't be found")
        if not all(self._is_allowed(address) for address in addresses):
            raise Invalid("pictures are not fetched from this address")
        for address in addresses[:MAX_DIALS]:
            try:
                return await self._dialer.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        raise UpstreamFailed("the picture's host does not answer")

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        """Refuses every path.

        Raises:
            Invalid: always.
        """
        raise Invalid("pictures are not fetched from this address")

    async def sleep(self, seconds: float) -> None:
        """Sleeps as the plain backend does."""
        await anyio.sleep(seconds)
