"""The local blob store: blobs are files of one folder, behind signed URLs of the studio."""

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from math import inf
from pathlib import Path
from time import time
from typing import IO, TypeVar
from urllib.parse import quote, unquote, urlsplit

import anyio
import anyio.to_thread

from errors import Forbidden, NotFound, TooLarge, Unavailable
from integrations.blobs.folder import (
    TOMBSTONES,
    UNFINISHED,
    bury,
    check_free,
    drop_ended,
    finish,
    link_new,
    raising_unavailable,
    require_new_key,
    scan_folder,
    unfinished_file,
)
from integrations.blobs.keys import (
    CHUNK_BYTES,
    READ_URL_S,
    BlobEntry,
    BlobInfo,
    SignedUpload,
    check_key,
    content_type_of,
    is_key,
    read_url_end,
)
from integrations.blobs.signature import BlobSigner, Grant, Secrets

BLOBS_PATH = "/blobs/"
THREADS = 8
SCAN_PAGE = 1000
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

Result = TypeVar("Result")


class LocalBlobStore:
    """`studio.ports.BlobStore` on a folder; its URLs are served by `gateway.routes.blobs`."""

    def __init__(
        self, folder: Path, base_url: str, secrets: Secrets, *, floor_bytes: int = 0
    ) -> None:
        self._folder = folder
        self._floor_bytes = floor_bytes
        # Reads don't wait for writes, and other work in threads waits for neither.
        self._readers = anyio.CapacityLimiter(THREADS)
        self._writers = anyio.CapacityLimiter(THREADS)
        self._base_url = base_url.rstrip("/")
        self._own = urlsplit(self._base_url)
        self.signer = BlobSigner(secrets)
        for name in (UNFINISHED, TOMBSTONES):
            (folder / name).mkdir(parents=True, exist_ok=True)

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        """Writes or replaces a blob atomically; its type is that of the key's extension."""
        path = self.path_of(key)

        def write() -> None:
            with raising_unavailable(), self._unfinished(len(data)) as (file, unfinished):
                file.write(data)
                finish(file)
                path.parent.mkdir(parents=True, exist_ok=True)
                unfinished.replace(path)

        await self._write(write)

    async def put_file(self, key: str, path: Path) -> None:
        """Writes or replaces a blob from a file of any size."""
        target = self.path_of(key)

        def copy() -> None:
            size = path.stat().st_size
            with raising_unavailable(), self._unfinished(size) as (file, unfinished):
                with path.open("rb") as source:
                    shutil.copyfileobj(source, file, CHUNK_BYTES)
                finish(file)
                target.parent.mkdir(parents=True, exist_ok=True)
                unfinished.replace(target)

        await self._write(copy)

    async def get_file(self, key: str, path: Path) -> None:
        """Copies a blob into a file."""
        source = self.path_of(key)

        def copy() -> None:
            with source.open("rb") as file, path.open("wb") as target:
                shutil.copyfileobj(file, target, CHUNK_BYTES)

        await self._find(copy)

    async def put_new(
        self, key: str, chunks: AsyncIterator[bytes], max_bytes: int, *, until_s: float = inf
    ) -> int:
        """Writes a new blob from chunks. Returns its size.

        until_s: when the upload's URL expires, in seconds of the epoch.

        Raises:
            TooLarge: more bytes than allowed arrived; nothing is stored.
            Conflict: the key has a blob already, or had one that was deleted.
            DiskFull: the disk has too little space.
            Forbidden: the URL expired before all bytes had arrived.
        """
        size = 0
        with raising_unavailable():
            await self._read(partial(require_new_key, self._folder, check_key(key)))
        with raising_unavailable(), self._unfinished(max_bytes) as (file, unfinished):
            async for chunk in chunks:
                size += len(chunk)
                if size > max_bytes:
                    raise TooLarge(f"at most {max_bytes} bytes may be uploaded here")
                if time() > until_s:
                    raise Forbidden("the address expired while the upload was arriving")
                await self._write(partial(self._append, file, chunk))
            await self._write(partial(finish, file))
            await self._write(partial(link_new, unfinished, self._folder, key))
        return size

    def _append(self, file: IO[bytes], chunk: bytes) -> None:
        check_free(self._folder, self._floor_bytes, len(chunk))
        file.write(chunk)

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """The bytes of a blob, in pieces."""
        path = self.path_of(key)
        with raising_unavailable(), await self._find(lambda: path.open("rb")) as file:
            while chunk := await self._read(partial(file.read, CHUNK_BYTES)):
                yield chunk

    async def get(self, key: str) -> bytes:
        """The bytes of a blob."""
        return await self._find(self.path_of(key).read_bytes)

    async def get_range(self, key: str, start: int, size: int) -> bytes:
        """Up to `size` bytes of a blob from `start` on."""
        path = self.path_of(key)

        def read() -> bytes:
            with path.open("rb") as file:
                file.seek(start)
                return file.read(size)

        return await self._find(read)

    async def head(self, key: str) -> BlobInfo | None:
        """The properties of a blob; None if it does not exist."""
        try:
            status = await self._find(self.path_of(key).stat)
        except NotFound:
            return None
        return BlobInfo(key, status.st_size, content_type_of(key))

    async def delete(self, key: str) -> None:
        """Deletes a blob; does nothing if it does not exist."""
        path = self.path_of(key)
        with raising_unavailable():
            await self._write(partial(path.unlink, missing_ok=True))

    async def bury(self, key: str, *, until: datetime) -> None:
        """Deletes a blob, and refuses uploads to its key until a time."""
        with raising_unavailable():
            await self._write(partial(bury, self._folder, check_key(key), until))

    async def list(self, prefix: str) -> AsyncIterator[str]:
        """The keys that start with the prefix, in order."""
        async for entry in self.scan(prefix):
            yield entry.key

    async def scan(self, prefix: str, *, after: str = "") -> AsyncIterator[BlobEntry]:
        """The blobs of a prefix in order of their keys, with one page in memory at a time."""
        entries = scan_folder(self._folder, prefix, after)
        while True:
            with raising_unavailable():
                page = await self._read(lambda: list(islice(entries, SCAN_PAGE)))
            for entry in page:
                yield entry
            if len(page) < SCAN_PAGE:
                break
        if not (self._folder / UNFINISHED).is_dir():
            raise Unavailable("the blob folder is gone")

    async def drop_unfinished(self, *, older_than_s: float) -> None:
        """Deletes unfinished files of killed processes, and tombstones that have ended."""
        with raising_unavailable(), suppress(FileNotFoundError):
            await self._write(partial(drop_ended, self._folder, older_than_s))

    async def sign_put(
        self, key: str, *, content_type: str, max_bytes: int, lifetime_s: int
    ) -> SignedUpload:
        """Signs a URL for one PUT of a new blob of this type and at most this size.

        Raises:
            DiskFull: the disk has too little space.
        """
        with raising_unavailable(), suppress(FileNotFoundError):
            await self._read(partial(check_free, self._folder, self._floor_bytes, max_bytes))
        expires_at_s = int(time()) + lifetime_s
        grant = Grant("put", check_key(key), expires_at_s, content_type, max_bytes)
        return SignedUpload(
            url=f"{self.url_of(key)}?{self.signer.sign(grant)}",
            headers={"Content-Type": content_type, "x-ms-blob-type": "BlockBlob"},
            expires_at=datetime.fromtimestamp(expires_at_s, UTC),
        )

    async def sign_get(self, key: str, *, lifetime_s: int = READ_URL_S) -> str:
        """Signs a URL to read a blob; it expires at `read_url_end`."""
        end_s = int(read_url_end(lifetime_s).timestamp())
        return f"{self.url_of(key)}?{self.signer.sign(Grant('get', check_key(key), end_s))}"

    def url_of(self, key: str) -> str:
        """The unsigned URL of a blob."""
        return f"{self._base_url}{BLOBS_PATH}{quote(key)}"

    def key_of(self, url: str) -> str | None:
        """The key of one of this store's own URLs; None for any other URL."""
        try:
            parts = urlsplit(url)
            is_same_port = (parts.scheme, parts.port) == (self._own.scheme, self._own.port)
        except ValueError:
            return None
        is_own_host = is_same_host(parts.hostname, self._own.hostname) and parts.username is None
        if not (is_same_port and is_own_host):
            return None
        start = self._own.path + BLOBS_PATH
        key = unquote(parts.path.removeprefix(start))
        return key if parts.path.startswith(start) and is_key(key) else None

    async def check(self) -> None:
        """Writes and deletes a small file.

        Raises:
            Unavailable: nothing can be written.
        """

        def write_and_delete() -> None:
            with raising_unavailable(), self._unfinished() as (file, _):
                file.write(b"check")

        try:
            await self._write(write_and_delete)
        except FileNotFoundError:
            raise Unavailable("the blob folder is gone") from None

    async def aclose(self) -> None:
        """Does nothing; this store has nothing to close."""

    def path_of(self, key: str) -> Path:
        """The path of a blob's file.

        Raises:
            NotFound: no blob can have this key.
        """
        return self._folder / check_key(key)

    def _unfinished(self, coming_bytes: int = 0) -> AbstractContextManager[tuple[IO[bytes], Path]]:
        return unfinished_file(self._folder, self._floor_bytes, coming_bytes)

    async def _find(self, work: Callable[[], Result]) -> Result:
        """Runs work on a blob's file, which may be missing.

        Raises:
            NotFound: the file is missing from a folder that is there.
            Unavailable: the whole folder is missing: the disk is not mounted.
        """
        for _ in range(2):  # the folder may come back between the two checks: then look again
            with raising_unavailable(), suppress(FileNotFoundError):
                return await self._read(work)
            if not (self._folder / UNFINISHED).is_dir():
                raise Unavailable("the blob folder is gone")
        raise NotFound("no such blob")

    async def _read(self, work: Callable[[], Result]) -> Result:
        return await anyio.to_thread.run_sync(work, limiter=self._readers)

    async def _write(self, work: Callable[[], Result]) -> Result:
        return await anyio.to_thread.run_sync(work, limiter=self._writers)


def is_same_host(host: str | None, own: str | None) -> bool:
    """Whether both names are the same host; all loopback names are."""
    return host == own or {host, own} <= LOOPBACK_NAMES
