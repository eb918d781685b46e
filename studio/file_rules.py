"""Which files the studio takes, and what makes one of them whole."""

import codecs
import csv
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from errors import Invalid, NotAnImage, TooLarge
from models.images import MAX_BYTES, inspect_image

IMAGE_TYPES = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/bmp": ".bmp",
    "image/tiff": ".tiff",
}
DATASET_TYPES = {
    "text/csv": ".csv",
    "application/x-ndjson": ".jsonl",
    "application/jsonl": ".jsonl",
}
MAX_DATASET_BYTES = 200_000_000
UPLOAD_LIFETIME_S = 900
ARRIVAL_S = 900
"""How much longer than its URL an upload may take to arrive."""
CLOCK_SKEW_S = 300
DECODE_BYTES = 1 << 20
MAX_FIRST_LINE_CHARS = 100_000


@dataclass(frozen=True)
class Purpose:
    """What an upload is for decides its types and its size."""

    extensions: dict[str, str]
    max_bytes: int


IMAGE = Purpose(IMAGE_TYPES, MAX_BYTES)
PURPOSES = {
    "selfie": IMAGE,
    "garment": IMAGE,
    "product": IMAGE,
    "dataset": Purpose(DATASET_TYPES, MAX_DATASET_BYTES),
}


@dataclass(frozen=True)
class FileFacts:
    """What a checked file is; width and height in pixels, of images only."""

    sha256: str
    width: int | None = None
    height: int | None = None


def upload_ends_at(presigned_at: datetime) -> datetime:
    """From then on no signed PUT of that moment works any more; a key stays buried until then."""
    return presigned_at + timedelta(seconds=UPLOAD_LIFETIME_S + ARRIVAL_S + CLOCK_SKEW_S)


def extension_for(purpose: str, content_type: str, size_bytes: int) -> str:
    """The extension that the blob's key gets.

    Raises:
        Invalid: the purpose takes no such type.
        TooLarge: or no such size.
    """
    rules = PURPOSES[purpose]
    if content_type not in rules.extensions:
        taken = ", ".join(rules.extensions)
        raise Invalid(f"the contentType for a {purpose} must be one of {taken}")
    if size_bytes > rules.max_bytes:
        raise TooLarge(f"a {purpose} may have at most {rules.max_bytes:,} bytes")
    return rules.extensions[content_type]


def inspect_file(data: bytes, purpose: str, content_type: str) -> FileFacts:
    """Reads the whole file once; slow, so not on an event loop.

    Raises:
        NotAnImage, Invalid, TooLarge: it is not what was announced.
    """
    digest = sha256(data).hexdigest()
    if purpose == "dataset":
        check_dataset(data, DATASET_TYPES[content_type])
        return FileFacts(digest)
    found = inspect_image(data)
    if found.content_type != content_type:
        raise NotAnImage(f"the file is {found.content_type}, not {content_type} as announced")
    return FileFacts(digest, found.width, found.height)


def check_dataset(data: bytes, extension: str) -> None:
    """UTF-8 throughout, and a first line of the right kind; the import judges every other line.

    Raises:
        Invalid: neither CSV nor JSON lines.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    first_line = ""
    try:
        for start in range(0, max(len(data), 1), DECODE_BYTES):
            text = decoder.decode(data[start : start + DECODE_BYTES])
            if "\x00" in text:
                raise Invalid("the dataset contains a NUL")
            first_line = first_line or text.lstrip().partition("\n")[0]
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise Invalid("the dataset is not UTF-8 text") from None
    if not first_line.strip():
        raise Invalid("the dataset is empty")
    if not is_first_line(first_line[:MAX_FIRST_LINE_CHARS], extension):
        raise Invalid("the dataset starts with no CSV header and no JSON object")


def is_first_line(line: str, extension: str) -> bool:
    """A JSON object for JSON lines; a header of names for CSV."""
    try:
        if extension == ".jsonl":
            return isinstance(json.loads(line), dict)
        return any(cell.strip() for cell in next(csv.reader([line], strict=True)))
    except (ValueError, RecursionError, csv.Error, StopIteration):
        return False
