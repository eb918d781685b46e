"""Blobs as files of one folder, reached through signed URLs of the studio itself."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from time import time
from typing import IO
from urllib.parse import quote, unquote, urlsplit

import anyio.to_thread

from errors import Conflict, NotFound, TooLarge, Unavailable
from integrations.blob_keys import BlobInfo, SignedUpload, check_key, content_type_of, is_key
from integrations.blob_signature import BlobSigner, Grant

BLOBS_PATH = "/blobs/"
UNFINISHED = ".unfinished"
READ_URL_STEP_S = 300
CHUNK_BYTES = 1 << 20
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@contextmanager
def told_as_unavailable() -> Iterator[None]:
    """A full disk or a folder that is gone is nobody's fault but ours."""
    try:
        yield
    except (FileNotFoundError, FileExistsError):
        raise
    except OSError as error:
        raise Unavailable("the blob store can't be used right now") from error


class LocalBlobStore:
    """`studio.ports.BlobStore` on a folder; its URLs are served by `gateway.routes.blobs`."""

    def __init__(self, folder: Path, base_url: str, secrets: Sequence[str]) -> None:
        self._folder = folder
        self._base_url = base_url.rstrip("/")
        self._own = urlsplit(self._base_url)
        self.signer = BlobSigner(secrets)
        (folder / UNFINISHED).mkdir(parents=True, exist_ok=True)

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        """Writes or replaces the blob at once; its type is that of the key's extension."""
        path = self.path_of(key)

        def write() -> None:
            with told_as_unavailable(), self._unfinished() as (file, unfinished):
                file.write(data)
                finish(file)
                path.parent.mkdir(parents=True, exist_ok=True)
                unfinished.replace(path)

        await anyio.to_thread.run_sync(write)

    async def put_file(self, key: str, path: Path) -> None:
        """As `put`, from a file of any size."""
        target = self.path_of(key)

        def copy() -> None:
            with told_as_unavailable(), self._unfinished() as (file, unfinished):
                with path.open("rb") as source:
                    shutil.copyfileobj(source, file, CHUNK_BYTES)
                finish(file)
                target.parent.mkdir(parents=True, exist_ok=True)
                unfinished.replace(target)

        await anyio.to_thread.run_sync(copy)

    async def get_file(self, key: str, path: Path) -> None:
        """Copies the blob into a file."""
        source = self.path_of(key)

        def copy() -> None:
            with told_as_unavailable(), source.open("rb") as file, path.open("wb") as target:
                shutil.copyfileobj(file, target, CHUNK_BYTES)

        try:
            await anyio.to_thread.run_sync(copy)
        except FileNotFoundError:
            raise self._absent() from None

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """The blob in pieces."""
        path = self.path_of(key)
        try:
            with told_as_unavailable():
                file = await anyio.to_thread.run_sync(path.open, "rb")
        except FileNotFoundError:
            raise self._absent() from None
        with told_as_unavailable(), file:
            while chunk := await anyio.to_thread.run_sync(file.read, CHUNK_BYTES):
                yield chunk

    async def put_new(self, key: str, chunks: AsyncIterator[bytes], max_bytes: int) -> int:
        """Streams a blob that must not exist yet; returns its size.

        Raises:
            TooLarge: more bytes than allowed arrived; nothing is kept.
            Conflict: the blob is there already.
        """
        path = self.path_of(key)
        size = 0
        with told_as_unavailable(), self._unfinished() as (file, unfinished):
            async for chunk in chunks:
                size += len(chunk)
                if size > max_bytes:
                    raise TooLarge(f"at most {max_bytes} bytes may be uploaded here")
                await anyio.to_thread.run_sync(file.write, chunk)
            await anyio.to_thread.run_sync(finish, file)
            await anyio.to_thread.run_sync(link_new, unfinished, path)
        return size

    async def get(self, key: str) -> bytes:
        """The whole blob."""
        path = self.path_of(key)
        try:
            with told_as_unavailable():
                return await anyio.to_thread.run_sync(path.read_bytes)
        except FileNotFoundError:
            raise self._absent() from None

    async def head(self, key: str) -> BlobInfo | None:
        """None where there is no such blob."""
        path = self.path_of(key)
        try:
            with told_as_unavailable():
                status = await anyio.to_thread.run_sync(path.stat)
        except FileNotFoundError:
            absent = self._absent()
            if isinstance(absent, Unavailable):
                raise absent from None
            return None
        return BlobInfo(key, status.st_size, content_type_of(key))

    async def delete(self, key: str) -> None:
        """Quiet where there is no such blob."""
        path = self.path_of(key)
        with told_as_unavailable(), suppress(FileNotFoundError):
            await anyio.to_thread.run_sync(path.unlink)

    async def list(self, prefix: str) -> AsyncIterator[str]:
        """Keys that start with the prefix, in order."""
        with told_as_unavailable():
            keys = await anyio.to_thread.run_sync(list_keys, self._folder, prefix)
        for key in keys:
            yield key

    async def drop_unfinished(self, *, older_than_s: float) -> None:
        """Removes what a killed process has left half written."""

        def drop() -> None:
            with told_as_unavailable(), suppress(FileNotFoundError):
                for path in (self._folder / UNFINISHED).iterdir():
                    if time() - path.stat().st_mtime > older_than_s:
                        path.unlink(missing_ok=True)

        await anyio.to_thread.run_sync(drop)

    async def sign_put(
        self, key: str, *, content_type: str, max_bytes: int, lifetime_s: int
    ) -> SignedUpload:
        """One PUT of one new blob of this type and at most this size."""
        expires_at_s = int(time()) + lifetime_s
        grant = Grant("put", check_key(key), expires_at_s, content_type, max_bytes)
        return SignedUpload(
            url=f"{self.url_of(key)}?{self.signer.sign(grant)}",
            headers={"Content-Type": content_type, "x-ms-blob-type": "BlockBlob"},
            expires_at=datetime.fromtimestamp(expires_at_s, UTC),
        )

    async def sign_get(self, key: str, *, lifetime_s: int = 3600) -> str:
        """Ends on a round time, so that one picture keeps one URL for a while (browser caches)."""
        expires_at_s = ceil((time() + lifetime_s) / READ_URL_STEP_S) * READ_URL_STEP_S
        return f"{self.url_of(key)}?{self.signer.sign(Grant('get', check_key(key), expires_at_s))}"

    def url_of(self, key: str) -> str:
        """The unsigned address of a blob."""
        return f"{self._base_url}{BLOBS_PATH}{quote(key)}"

    def key_of(self, url: str) -> str | None:
        """The key of one of this store's own URLs, None for any other URL."""
        try:
            given = urlsplit(url)
            same_place = (given.scheme, given.port) == (self._own.scheme, self._own.port)
        except ValueError:
            return None
        same_host = is_same_host(given.hostname, self._own.hostname) and given.username is None
        if not (same_place and same_host):
            return None
        start = self._own.path + BLOBS_PATH
        key = unquote(given.path.removeprefix(start))
        return key if given.path.startswith(start) and is_key(key) else None

    async def check(self) -> None:
        """Raises:
        Unavailable: nothing can be written.
        """

        def write_and_forget() -> None:
            with told_as_unavailable(), self._unfinished() as (file, _):
                file.write(b"check")

        try:
            await anyio.to_thread.run_sync(write_and_forget)
        except FileNotFoundError:
            raise Unavailable("the blob folder is gone") from None

    async def aclose(self) -> None:
        """There is nothing to close."""

    def _absent(self) -> NotFound | Unavailable:
        """A blob is gone only where the folder is there: a disk that is not mounted has none."""
        if (self._folder / UNFINISHED).is_dir():
            return NotFound("no such blob")
        return Unavailable("the blob folder is gone")

    def path_of(self, key: str) -> Path:
        """Where the blob lies.

        Raises:
            NotFound: no blob can have this name.
        """
        return self._folder / check_key(key)

    @contextmanager
    def _unfinished(self) -> Iterator[tuple[IO[bytes], Path]]:
        """A new file beside the blobs, gone again unless it was moved."""
        try:
            descriptor, name = tempfile.mkstemp(dir=self._folder / UNFINISHED)
        except FileNotFoundError:
            raise Unavailable("the blob folder is gone") from None
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file, Path(name)
        finally:
            Path(name).unlink(missing_ok=True)


def list_keys(folder: Path, prefix: str) -> Sequence[str]:
    """Keys that start with the prefix, in order; looks only below the prefix's folder."""
    below = folder / prefix.rpartition("/")[0]
    found = (path.relative_to(folder).as_posix() for path in below.rglob("*") if path.is_file())
    return sorted(key for key in found if key.startswith(prefix) and is_key(key))


def finish(file: IO[bytes]) -> None:
    """The bytes are on the disk, not only on their way."""
    file.flush()
    os.fsync(file.fileno())


def link_new(unfinished: Path, path: Path) -> None:
    """Gives a finished file its name, unless the name is taken.

    Raises:
        Conflict: it is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.hardlink_to(unfinished)
    except FileExistsError:
        raise Conflict("this blob was uploaded already") from None


def is_same_host(given: str | None, own: str | None) -> bool:
    """`localhost` and `127.0.0.1` are one place."""
    return given == own or {given, own} <= LOOPBACK_NAMES
