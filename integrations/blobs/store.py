"""Opens the blob store that `STUDIO_BLOB_URL` names.

- `file:///absolute/folder`: files, reached through signed URLs of the studio itself.
- `azure://<container>;<connection string>`: Azure by account key, as the portal shows it.
- `https://<account>.blob.core.windows.net/<container>`: Azure by managed identity, signing
  with user-delegation keys.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from azure.storage.blob.aio import BlobServiceClient

from errors import SetupError
from integrations.blobs.azure import (
    CONNECT_TIMEOUT_S,
    READ_TIMEOUT_S,
    AzureAccount,
    AzureBlobStore,
)
from integrations.blobs.local import LocalBlobStore
from secret_files import Following
from settings import Settings

AZURE_OPTIONS: dict[str, Any] = {
    "connection_timeout": CONNECT_TIMEOUT_S,
    "read_timeout": READ_TIMEOUT_S,
    "retry_total": 2,
    # By default the first retry is after 15 s, which is too long for a waiting request.
    "initial_backoff": 0.2,
    "increment_base": 0.5,
    "random_jitter_range": 0.2,
    # Larger blocks would be sent without yielding to the event loop.
    "max_single_put_size": 1 << 20,
    "max_block_size": 1 << 20,
}


def open_blob_store(settings: Settings) -> LocalBlobStore | AzureBlobStore:
    """The store of the settings; called in the event loop that uses it.

    Raises:
        SetupError: the URL is of an unknown kind or incomplete.
    """
    url = settings.required("blob_url")
    if url.startswith("file://"):
        return open_local(url, settings)
    if url.startswith("azure://"):
        present = settings.secret("blob_url")
        return open_azure_by_key(lambda: present().removeprefix("azure://"))
    if url.startswith("https://"):
        return open_azure_by_identity(url)
    raise SetupError("STUDIO_BLOB_URL must start with file://, azure:// or https://")


def open_local(url: str, settings: Settings) -> LocalBlobStore:
    """A store in a folder; its signing keys are derived from the JWT secrets."""
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise SetupError("STUDIO_BLOB_URL must be file:///absolute/folder")
    settings.required("jwt_secret")
    try:
        return LocalBlobStore(
            Path(unquote(parts.path)),
            settings.base_url,
            settings.jwt_secrets,
            floor_bytes=settings.disk_floor_mb * 1_000_000,
        )
    except OSError as error:
        raise SetupError(f"STUDIO_BLOB_URL: {error.strerror}: {parts.path}") from error


def open_azure_by_key(text: Callable[[], str]) -> AzureBlobStore:
    """A store for the present `<container>;<connection string>`; its account key signs URLs."""
    return AzureBlobStore(Following(text, read_account))


def read_account(text: str) -> AzureAccount:
    """The account of `<container>;<connection string>`.

    Raises:
        SetupError: a part is missing or malformed.
    """
    container, _, connection = text.partition(";")
    fields = dict(part.partition("=")[::2] for part in connection.split(";") if part)
    if not container or "AccountKey" not in fields:
        raise SetupError("STUDIO_BLOB_URL must be azure://<container>;<connection string>")
    try:
        service = BlobServiceClient.from_connection_string(connection, **AZURE_OPTIONS)
    except ValueError as error:
        raise SetupError(f"STUDIO_BLOB_URL: {error}") from None
    return AzureAccount(service, container, key=fields["AccountKey"])


def open_azure_by_identity(url: str) -> AzureBlobStore:
    """A store that uses the machine's managed identity, without a secret in the settings."""
    parts = urlsplit(url)
    container = parts.path.strip("/")
    if not container or "/" in container:
        raise SetupError("STUDIO_BLOB_URL must be https://<account>.blob…/<container>")
    from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 - few need it

    service = BlobServiceClient(
        f"https://{parts.netloc}", credential=DefaultAzureCredential(), **AZURE_OPTIONS
    )
    account = AzureAccount(service, container)
    return AzureBlobStore(lambda: account)
