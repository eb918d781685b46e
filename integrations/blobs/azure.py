"""Blobs in one container of Azure Blob Storage, reached through shared access signatures."""

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
"""Whole blobs that are read at once: each is in memory, pictures of 15 MB among them."""
TOMBSTONE = {"tombstone": "true"}


@asynccontextmanager
async def told_as_unavailable() -> AsyncIterator[None]:
    """An absent blob is NotFound; whatever else the service says, callers hear one thing."""
    try:
        yield
    except ResourceNotFoundError:
        raise NotFound("no such blob") from None
    except (AzureError, OSError, TimeoutError) as error:
        raise Unavailable("the blob store does not answer") from error


def is_tombstone(found: BlobProperties) -> bool:
    """Whether the blob only holds the key of one that was deleted."""
    return not found.size and (found.metadata or {}).items() >= TOMBSTONE.items()


@dataclass(frozen=True)
class DelegationKey:
    """A key of the service's own, for signing without the account's key."""

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
        """Writes or replaces the blob at once."""
        async with told_as_unavailable():
            await self._container.upload_blob(
                check_key(key),
                data,
                overwrite=True,
                content_settings=ContentSettings(content_type=content_type),
            )

    async def get(self, key: str) -> bytes:
        """The whole blob."""
        async with self._readers, told_as_unavailable():
            download = await self._download(key)
            return bytes(await download.readall())

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """The blob in pieces; each is a request of its own, for the package buffers 32 MB."""
        async with told_as_unavailable():
            blob = self._container.get_blob_client(check_key(key))
            found = await blob.get_blob_properties()
            if is_tombstone(found):
                raise ResourceNotFoundError("deleted")
            for start in range(0, found.size, CHUNK_BYTES):
                piece = await blob.download_blob(
                    start,
                    CHUNK_BYTES,
                    etag=found.etag,
                    match_condition=MatchConditions.IfNotModified,
                )
                yield bytes(await piece.readall())

    async def _download(self, key: str) -> StorageStreamDownloader[bytes]:
        """Raises:
        ResourceNotFoundError: there is no such blob, or only its tombstone.
        """
        download = await self._container.download_blob(check_key(key))
        if is_tombstone(download.properties):
            raise ResourceNotFoundError("deleted")
        return download

    async def put_file(self, key: str, path: Path) -> None:
        """As `put`, from a file of any size, in blocks."""
        async with told_as_unavailable():
            # The package sends the file in blocks and reads each of them in the event loop.
            with path.open("rb") as file:
                await self._container.upload_blob(
                    check_key(key),
                    file,
                    overwrite=True,
                    max_concurrency=UPLOADS,
                    content_settings=ContentSettings(content_type=content_type_of(key)),
                )

    async def get_file(self, key: str, path: Path) -> None:
        """Streams the blob into a file, a chunk in memory at a time."""
        async with told_as_unavailable():
            download = await self._download(key)
            with path.open("wb") as file:
                async for chunk in download.chunks():
                    await asyncio.to_thread(file.write, chunk)

    async def head(self, key: str) -> BlobInfo | None:
        """None where there is no such blob."""
        try:
            async with told_as_unavailable():
                found = await self._container.get_blob_client(check_key(key)).get_blob_properties()
        except NotFound:
            return None
        if is_tombstone(found):
            return None
        settings = found.content_settings
        content_type = settings.content_type or OCTETS
        return BlobInfo(key, found.size, content_type, settings.content_encoding or None)

    async def delete(self, key: str) -> None:
        """Quiet where there is no such blob."""
        try:
            async with told_as_unavailable():
                await self._container.delete_blob(check_key(key), delete_snapshots="include")
        except NotFound:
            return

    async def bury(self, key: str, *, until: datetime) -> None:
        """An empty blob takes the key: a signature that may only create blobs is refused then.

        Whoever may create a blob may also take snapshots of it; they go with it.
        """
        if until <= datetime.now(UTC):
            await self.delete(key)
            return
        async with told_as_unavailable():
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
        """Keys that start with the prefix, in order."""
        async for entry in self.scan(prefix):
            if not entry.is_tombstone:
                yield entry.key

    async def scan(self, prefix: str, *, after: str = "") -> AsyncIterator[BlobEntry]:
        """What lies under the prefix, in order of the keys; 5,000 with each round trip."""
        async with told_as_unavailable():
            pages = self._container.list_blobs(name_starts_with=prefix, include=["metadata"])
            async for found in pages:
                if found.name > after:
                    yield BlobEntry(
                        found.name, found.size, found.last_modified, is_tombstone(found)
                    )

    async def drop_unfinished(self, *, older_than_s: float) -> None:
        """The service forgets blocks that were never committed, after a week."""

    async def sign_put(
        self, key: str, *, content_type: str, max_bytes: int, lifetime_s: int
    ) -> SignedUpload:
        """One PUT of one new blob: `create` without `write` refuses a second one.

        Azure can't bind type or size to a signature: `studio.files.files` checks both afterwards.
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
        """A round trip only when the delegation key has to be renewed.

        The service answers with the type of the key's extension, whatever the uploader declared.
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
                async with told_as_unavailable():
                    key = await self._service.get_user_delegation_key(
                        now - CLOCK_SKEW, now + KEY_LIFETIME
                    )
                self._delegation = DelegationKey(key, now + KEY_LIFETIME / 2)
            return self._delegation.key

    def key_of(self, url: str) -> str | None:
        """The key of one of this store's own URLs, None for any other URL."""
        start = self._container.url + "/"
        key = unquote(url.partition("?")[0].partition("#")[0].removeprefix(start))
        return key if url.startswith(start) and is_key(key) else None

    async def check(self) -> None:
        """Raises:
        Unavailable: the container can't be reached.
        """
        try:
            async with told_as_unavailable():
                await self._container.get_container_properties()
        except NotFound:
            raise Unavailable("the blob container does not exist") from None

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._service.close()
