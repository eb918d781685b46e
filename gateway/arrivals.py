"""Uploads that are arriving at the local blob store: once for a key, a few for an account."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.exceptions import HTTPException

from errors import Conflict
from integrations.blobs.keys import CHUNK_BYTES
from integrations.shares import Shares

PLACES = 256
PLACES_PER_ACCOUNT = 8
PATIENCE_S = 30.0
SLOWEST_BYTES_S = 8_000


class Arrivals:
    """The uploads of one Gateway; each holds at most 2 MB of memory."""

    def __init__(self) -> None:
        self._shares = Shares(places=PLACES, per_owner=PLACES_PER_ACCOUNT)
        self._keys: set[str] = set()

    @asynccontextmanager
    async def place(self, key: str) -> AsyncIterator[None]:
        """For as long as the upload arrives.

        Raises:
            Conflict: another upload of the same key arrives already.
            OwnerBusy, AllBusy: too many arrive already.
        """
        if key in self._keys:
            raise Conflict("this blob is being uploaded already")
        async with self._shares.place(owner_of(key)):
            self._keys.add(key)
            try:
                yield
            finally:
                self._keys.discard(key)


def owner_of(key: str) -> str:
    """The account's folder: `uploads/{account}`."""
    return "/".join(key.split("/")[:2])


async def in_large_chunks(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Fewer, larger writes: every one costs a hop to a thread.

    Raises:
        HTTPException: 408, the upload is so slow that it only holds a place.
    """
    started_s, size, waiting = time.monotonic(), 0, bytearray()
    async for chunk in stream:
        size += len(chunk)
        if time.monotonic() - started_s > PATIENCE_S + size / SLOWEST_BYTES_S:
            raise HTTPException(
                408, "the upload arrives too slowly", headers={"Connection": "close"}
            )
        waiting += chunk
        if len(waiting) >= CHUNK_BYTES:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)
