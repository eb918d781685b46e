"""Limits on uploads to the local blob store: one at a time for a key, a few for an account."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.exceptions import HTTPException

from errors import Conflict
from integrations.blobs.keys import CHUNK_BYTES
from integrations.fair_semaphore import FairSemaphore

PLACES = 256
PLACES_PER_ACCOUNT = 8
GRACE_S = 30.0
MIN_BYTES_PER_S = 8_000
"""An upload may take `GRACE_S` plus the time that its bytes need at this rate."""


class Arrivals:
    """The uploads that one Gateway is receiving; each uses at most 2 MB of memory."""

    def __init__(self) -> None:
        self._shares = FairSemaphore(places=PLACES, per_owner=PLACES_PER_ACCOUNT)
        self._keys: set[str] = set()

    @asynccontextmanager
    async def place(self, key: str) -> AsyncIterator[None]:
        """Reserves a place for an upload while the block runs.

        Raises:
            Conflict: another upload of the same key is arriving.
            OwnerBusy, AllBusy: too many uploads are arriving, of this account or of all.
        """
        if key in self._keys:
            raise Conflict("this blob is already being uploaded")
        async with self._shares.place(owner_of(key)):
            self._keys.add(key)
            try:
                yield
            finally:
                self._keys.discard(key)


def owner_of(key: str) -> str:
    """The account's folder (`uploads/{account}`); places are counted for each folder."""
    return "/".join(key.split("/")[:2])


async def in_large_chunks(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Joins small chunks, because every write costs a change of threads.

    Raises:
        HTTPException: the upload is slower than `MIN_BYTES_PER_S` (408).
    """
    start_s, size, buffer = time.monotonic(), 0, bytearray()
    async for chunk in stream:
        size += len(chunk)
        if time.monotonic() - start_s > GRACE_S + size / MIN_BYTES_PER_S:
            raise HTTPException(
                408, "the upload arrives too slowly", headers={"Connection": "close"}
            )
        buffer += chunk
        if len(buffer) >= CHUNK_BYTES:
            yield bytes(buffer)
            buffer.clear()
    if buffer:
        yield bytes(buffer)
