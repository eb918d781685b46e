"""The parts that all blob stores share: valid keys, results, and content types by extension."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from pathlib import PurePosixPath
from time import time

from errors import NotFound

MAX_KEY_CHARS = 512
KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._=-]*(/[A-Za-z0-9_][A-Za-z0-9._=-]*)*")

CONTENT_TYPES = {
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".heic": "image/heic",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".tiff": "image/tiff",
    ".csv": "text/csv",
    ".jsonl": "application/x-ndjson",
    ".json": "application/json",
}
EXTENSIONS = {content_type: extension for extension, content_type in CONTENT_TYPES.items()}
OCTETS = "application/octet-stream"
READ_URL_S = 900
READ_URL_STEP_S = 300
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class BlobInfo:
    """The properties of a blob."""

    key: str
    size: int
    content_type: str
    content_encoding: str | None = None


@dataclass(frozen=True)
class BlobEntry:
    """A blob as a scan lists it; a tombstone only blocks the key of a deleted blob."""

    key: str
    size: int
    modified_at: datetime
    is_tombstone: bool = False


@dataclass(frozen=True)
class SignedUpload:
    """A URL to PUT one blob to, once, with these headers."""

    url: str
    headers: dict[str, str]
    expires_at: datetime


def read_url_end(lifetime_s: int) -> datetime:
    """When a signed read URL expires: after its lifetime and up to five minutes more.

    The time is rounded up, so that a picture has the same URL for a while and browsers cache it.
    """
    end_s = ceil((time() + lifetime_s) / READ_URL_STEP_S) * READ_URL_STEP_S
    return datetime.fromtimestamp(end_s, UTC)


def is_key(key: str) -> bool:
    """Whether a blob can have this key; excludes `..`, hidden and absolute names."""
    return len(key) <= MAX_KEY_CHARS and KEY.fullmatch(key) is not None


def check_key(key: str) -> str:
    """The key itself.

    Raises:
        NotFound: no blob can have this name.
    """
    if not is_key(key):
        raise NotFound("no such blob")
    return key


def content_type_of(key: str) -> str:
    """The content type of a key's extension, which the studio itself chooses."""
    return CONTENT_TYPES.get(PurePosixPath(key).suffix.lower(), OCTETS)
