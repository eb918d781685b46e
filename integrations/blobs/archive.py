"""Opens the store of backups: a folder, or an Azure container as in `STUDIO_BLOB_URL`."""

import secrets
from pathlib import Path
from urllib.parse import unquote, urlsplit

from errors import SetupError
from integrations.blobs.azure import AzureBlobStore
from integrations.blobs.local import LocalBlobStore
from integrations.blobs.store import open_azure_by_identity, open_azure_by_key


def open_archive_store(place: str, *, must_exist: bool = False) -> LocalBlobStore | AzureBlobStore:
    """The store of a place; called in the event loop that uses it. Its signed URLs are not served.

    Raises:
        SetupError: the place is of an unknown kind, incomplete, or does not exist.
    """
    if place.startswith("azure://"):
        return open_azure_by_key(lambda: place.removeprefix("azure://"))
    if place.startswith("https://"):
        return open_azure_by_identity(place)
    folder = folder_of(place)
    if must_exist and not folder.is_dir():
        raise SetupError(f"there is no folder {folder}")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # it contains all rows
        return LocalBlobStore(folder, "http://archive.invalid", [secrets.token_urlsafe(48)])
    except OSError as error:
        raise SetupError(f"the folder {folder} can't be used: {error.strerror}") from error


def same_place(place: str, blob_url: str) -> bool:
    """Whether the place is the blob store, or a folder in it or around it."""
    if "://" in place and not place.startswith("file://"):
        return place.rstrip("/") == blob_url.rstrip("/")
    if not blob_url.startswith("file://"):
        return False
    own, other = folder_of(blob_url), folder_of(place)
    return own == other or own in other.parents or other in own.parents


def folder_of(place: str) -> Path:
    """A path, or a file:// URL, as an absolute path.

    Raises:
        SetupError: another kind of URL.
    """
    if place.startswith("file://"):
        place = unquote(urlsplit(place).path)
    elif "://" in place:
        raise SetupError("backups go to a folder, azure://… or https://…")
    return Path(place).absolute()
