"""The blob store in a container of Azure Blob Storage, with shared access signatures."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.blob import (
    BlobProperties,
    BlobSasPermissions,
    ContentSettings,
    UserDelegationKey,
    generate_blob_sas,
)
from azure.storage.blob.aio import BlobServiceClient, StorageStreamDownloader

from errors import NotFound, Unavailable
from integrations.blobs.keys import (
    CHUNK_BYTES,
    OCTETS,
    READ_URL_S,
    READ_URL_STEP_S,
    BlobEntry,
    BlobInfo,
    SignedUpload,
    check_key,
    content_type_of,
    is_key,
    read_url_end,
)

CLOCK_SKEW = timedelta(minutes=5)
KEY_LIFETIME = timedelta(hours=24)
CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 30
UPLOADS = 4
READS = 32
"""Whole blobs that are read concurrently; each is in memory, up to 15 MB for a picture."""
TOMBSTONE = {"tombstone": "true"}


@asynccontextmanager
async def raising_unavailable() -> AsyncIterator[None]:
    """Turns errors of the service into Unavailable, and a missing blob into NotFound."""
    try:
        yield
    except ResourceNotFoundError:
        raise NotFound("no such blob") from None
    except (AzureError, OSError, TimeoutError) as error:
        raise Unavailable("the blob store does not answer") from error


def is_tombstone(properties: BlobProperties) -> bool:
    """Whether the blob only blocks the key of a deleted one."""
    return not properties.size and (properties.metadata or {}).items() >= TOMBSTONE.items()


@dataclass(frozen=True)
class DelegationKey:
    """A user-delegation key, which signs URLs without the account's key."""

    key: UserDelegationKey
    renew_at: datetime


class AzureBlobStore:
    """`studio.ports.BlobStore` on Azure; signs by account key, or by user-delegation key."""

    def __init__(
        self, service: BlobServiceClient, container: str, *, account_key: str | None
    ) -> None:
        self._service = service
        self._container = service.get_container_client(container)
        self._account_key = account_key
        self._delegation: DelegationKey | None = None
        self._renewing = asyncio.Lock()
        self._readers = asyncio.Semaphore(READS)

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        """Writes or replaces a blob atomically."""
        async with raising_unavailable():
            await self._container.upload_blob(
                check_key(key),
                data,
                overwrite=True,
                content_settings=ContentSettings(content_type=content_type),
            )

    async def get(self, key: str) -> bytes:
        """The bytes of a blob."""
        async with self._readers, raising_unavailable():
            download = await self._download(key)
            return bytes(await download.readall())

    async def get_range(self, key: str, start: int, size: int) -> bytes:
        """Up to `size` bytes of a blob from `start` on."""
        async with self._readers, raising_unavailable():
            blob = self._container.get_blob_client(check_key(key))
            return bytes(await (await blob.download_blob(start, size)).readall())

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """The bytes of a blob, in pieces of one request each, because the package buffers 32 MB."""
        async with raising_unavailable():
            blob = self._container.get_blob_client(check_key(key))
            properties = await blob.get_blob_properties()
            if is_tombstone(properties):
                raise ResourceNotFoundError("deleted")
            for start in range(0, properties.size, CHUNK_BYTES):
                piece = await blob.download_blob(
                    start,
                    CHUNK_BYTES,
                    etag=properties.etag,
                    match_condition=MatchConditions.IfNotModified,
                )
                yield bytes(await piece.readall())

    async def _download(self, key: str) -> StorageStreamDownloader[bytes]:
        """Starts the download of a blob.

        Raises:
            ResourceNotFoundError: it does not exist, or is a tombstone.
        """
        download = await self._container.download_blob(check_key(key))
        if is_tombstone(download.properties):
            raise ResourceNotFoundError("deleted")
        return download

    async def put_file(self, key: str, path: Path) -> None:
        """Writes or replaces a blob from a file of any size, in blocks."""
        async with raising_unavailable():
            # The package reads each block of the file in the event loop.
            with path.open("rb") as file:
                await self._container.upload_blob(
                    check_key(key),
                    file,
                    overwrite=True,
                    max_concurrency=UPLOADS,
                    content_settings=ContentSettings(content_type=content_type_of(key)),
                )

    async def get_file(self, key: str, path: Path) -> None:
        """Copies a blob into a file, with one chunk in memory at a time."""
        async with raising_unavailable():
            download = await self._download(key)
            with path.open("wb") as file:
                async for chunk in download.chunks():
                    await asyncio.to_thread(file.write, chunk)

    async def head(self, key: str) -> BlobInfo | None:
        """The properties of a blob; None if it does not exist."""
        try:
            async with raising_unavailable():
                blob = self._container.get_blob_client(check_key(key))
                properties = await blob.get_blob_properties()
        except NotFound:
            return None
        if is_tombstone(properties):
            return None
        settings = properties.content_settings
        content_type = settings.content_type or OCTETS
        return BlobInfo(key, properties.size, content_type, settings.content_encoding or None)

    async def delete(self, key: str) -> None:
        """Deletes a blob; does nothing if it does not exist."""
        try:
            async with raising_unavailable():
                await self._container.delete_blob(check_key(key), delete_snapshots="include")
        except NotFound:
            return

    async def bury(self, key: str, *, until: datetime) -> None:
        """Replaces a blob by an empty tombstone, which makes later uploads to its key fail: the
        signature of an upload allows only the creation of a blob.

        Such a signature also allows snapshots of the blob; they are deleted with it.
        """
        if until <= datetime.now(UTC):
            await self.delete(key)
            return
        async with raising_unavailable():
            await self._container.upload_blob(
                check_key(key),
                b"",
                overwrite=True,
                metadata=TOMBSTONE,
                content_settings=ContentSettings(content_type=OCTETS),
            )
            with suppress(ResourceNotFoundError):
                await self._container.delete_blob(key, delete_snapshots="only")

    async def list(self, prefix: str) -> AsyncIterator[str]:
        """The keys that start with the prefix, in order."""
        async for entry in self.scan(prefix):
            if not entry.is_tombstone:
                yield entry.key

    async def scan(self, prefix: str, *, after: str = "") -> AsyncIterator[BlobEntry]:
        """The blobs of a prefix in order of their keys; a round trip lists 5,000."""
        async with raising_unavailable():
            pages = self._container.list_blobs(name_starts_with=prefix, include=["metadata"])
            async for blob in pages:
                if blob.name > after:
                    yield BlobEntry(blob.name, blob.size, blob.last_modified, is_tombstone(blob))

    async def drop_unfinished(self, *, older_than_s: float) -> None:
        """Does nothing; the service deletes uncommitted blocks after a week."""

    async def sign_put(
        self, key: str, *, content_type: str, max_bytes: int, lifetime_s: int
    ) -> SignedUpload:
        """Signs a URL for one PUT of a new blob; `create` without `write` forbids a second PUT.

        An Azure signature can't limit type or size; `studio.files.files` checks both afterwards.
        """
        now = datetime.now(UTC).replace(microsecond=0)
        expires_at = now + timedelta(seconds=lifetime_s)
        permission = BlobSasPermissions(create=True)
        return SignedUpload(
            url=await self._sign(key, permission, expires_at, start=now - CLOCK_SKEW),
            headers={"Content-Type": content_type, "x-ms-blob-type": "BlockBlob"},
            expires_at=expires_at,
        )

    async def sign_get(self, key: str, *, lifetime_s: int = READ_URL_S) -> str:
        """Signs a URL to read a blob; a round trip is only needed to renew the delegation key.

        The response has the type of the key's extension, not the type that the uploader declared.
        """
        expires_at = read_url_end(lifetime_s)
        return await self._sign(
            key,
            BlobSasPermissions(read=True),
            expires_at,
            start=expires_at - timedelta(seconds=lifetime_s + READ_URL_STEP_S) - CLOCK_SKEW,
            content_type=content_type_of(key),
        )

    async def _sign(
        self,
        key: str,
        permission: BlobSasPermissions,
        expires_at: datetime,
        *,
        start: datetime,
        content_type: str | None = None,
    ) -> str:
        credential: dict[str, Any] = {"account_key": self._account_key}
        if self._account_key is None:
            credential = {"user_delegation_key": await self._delegation_key()}
        token = generate_blob_sas(
            account_name=str(self._service.account_name),
            container_name=self._container.container_name,
            blob_name=check_key(key),
            permission=permission,
            start=start,
            expiry=expires_at,
            content_type=content_type,
            protocol="https" if self._container.url.startswith("https") else "https,http",
            **credential,
        )
        return f"{self._container.url}/{quote(key)}?{token}"

    async def _delegation_key(self) -> UserDelegationKey:
        async with self._renewing:
            now = datetime.now(UTC)
            if self._delegation is None or now >= self._delegation.renew_at:
                async with raising_unavailable():
                    key = await self._service.get_user_delegation_key(
                        now - CLOCK_SKEW, now + KEY_LIFETIME
                    )
                self._delegation = DelegationKey(key, now + KEY_LIFETIME / 2)
            return self._delegation.key

    def key_of(self, url: str) -> str | None:
        """The key of one of this store's own URLs; None for any other URL."""
        start = self._container.url + "/"
        key = unquote(url.partition("?")[0].partition("#")[0].removeprefix(start))
        return key if url.startswith(start) and is_key(key) else None

    async def check(self) -> None:
        """Reads the container's properties.

        Raises:
            Unavailable: the container can't be reached.
        """
        try:
            async with raising_unavailable():
                await self._container.get_container_properties()
        except NotFound:
            raise Unavailable("the blob container does not exist") from None

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._service.close()
