"""The protocol of the blob store."""

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Protocol

from integrations.blobs.keys import READ_URL_S, BlobEntry, BlobInfo, SignedUpload


class BlobStore(Protocol):
    """One container of immutable blobs; the studio chooses their keys, e.g. `uploads/...`."""

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        """Writes or replaces the blob atomically."""
        ...

    async def get(self, key: str) -> bytes:
        """Returns the content of a blob.

        Raises:
            NotFound: there is no such blob.
        """
        ...

    async def put_file(self, key: str, path: Path) -> None:
        """Like `put`, streamed from a file that may be larger than memory."""
        ...

    async def get_file(self, key: str, path: Path) -> None:
        """Streams the blob into a file, new or overwritten.

        Raises:
            NotFound: there is no such blob; an empty file may be left.
        """
        ...

    async def get_range(self, key: str, start: int, size: int) -> bytes:
        """Returns `size` bytes from `start` on, or fewer where the blob ends before.

        Raises:
            NotFound: there is no such blob.
            Unavailable: the store does not answer, or the blob ends before `start` (Azure).
        """
        ...

    def stream(self, key: str) -> AsyncIterator[bytes]:
        """Yields the blob in pieces of at most 1 MB.

        Raises:
            NotFound: there is no such blob.
        """
        ...

    async def head(self, key: str) -> BlobInfo | None:
        """Returns the size and type of the blob; None if there is no such blob."""
        ...

    async def delete(self, key: str) -> None:
        """Deletes the blob, if there is one. A signed PUT of the key works again: see `bury`."""
        ...

    async def bury(self, key: str, *, until: datetime) -> None:
        """Deletes the blob, if there is one, and refuses every signed PUT of its key until then.

        `until` in the past is a plain deletion.
        """
        ...

    def list(self, prefix: str) -> AsyncIterator[str]:
        """Yields the keys that start with the prefix, in order, without tombstones."""
        ...

    def scan(self, prefix: str, *, after: str = "") -> AsyncIterator[BlobEntry]:
        """Blobs whose keys start with the prefix and come after `after`, in order of their keys.

        Reads page by page, so the store may be of any size. Where tombstones are blobs (Azure)
        they are listed too: delete those that are older than a day.
        """
        ...

    async def drop_unfinished(self, *, older_than_s: float) -> None:
        """Removes unfinished uploads older than this, and local tombstones that have ended."""
        ...

    async def sign_put(
        self, key: str, *, content_type: str, max_bytes: int, lifetime_s: int
    ) -> SignedUpload: ...

    async def sign_get(self, key: str, *, lifetime_s: int = READ_URL_S) -> str:
        """A URL for plain GET, for 15 to 20 minutes; it stays the same for a few of them.

        Made without a round trip wherever the store allows it.
        """
        ...

    def key_of(self, url: str) -> str | None:
        """The key of one of this store's own URLs (signed or not), None for any other URL."""
        ...

    async def check(self) -> None:
        """Checks that the store answers.

        Raises:
            Unavailable: it does not.
        """
        ...

    async def aclose(self) -> None: ...
