"""What every blob store shares: the shape of keys, of answers, and types by extension."""

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

from errors import NotFound

MAX_KEY_CHARS = 512
KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._=-]*(/[A-Za-z0-9_][A-Za-z0-9._=-]*)*")

CONTENT_TYPES = {
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".tiff": "image/tiff",
    ".csv": "text/csv",
    ".jsonl": "application/x-ndjson",
    ".json": "application/json",
}
EXTENSIONS = {content_type: extension for extension, content_type in CONTENT_TYPES.items()}
OCTETS = "application/octet-stream"


@dataclass(frozen=True)
class BlobInfo:
    """What the store knows of a blob."""

    key: str
    size: int
    content_type: str


@dataclass(frozen=True)
class SignedUpload:
    """A URL to PUT one blob to, once, with these headers."""

    url: str
    headers: dict[str, str]
    expires_at: datetime


def is_key(key: str) -> bool:
    """Whether a store can have a blob of this name; excludes `..`, hidden and absolute names."""
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
    """By extension; keys are made by us, so theirs tell the truth."""
    return CONTENT_TYPES.get(PurePosixPath(key).suffix.lower(), OCTETS)
