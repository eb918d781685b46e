"""Which files the studio takes, and what makes one of them whole."""

import codecs
import csv
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from errors import Invalid, NotAnImage, TooLarge
from integrations.blobs.keys import CHUNK_BYTES
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
UPLOAD_END = timedelta(seconds=UPLOAD_LIFETIME_S + ARRIVAL_S + CLOCK_SKEW_S)
"""From the presigning on: nothing arrives any more then."""
MAX_FIRST_LINE_CHARS = 100_000


@dataclass(frozen=True)
class Purpose:
    """What an upload is for decides its types, its size and who may make it."""

    extensions: dict[str, str]
    max_bytes: int
    role: str = "customer"


IMAGE = Purpose(IMAGE_TYPES, MAX_BYTES)
PURPOSES = {
    "selfie": IMAGE,
    "garment": IMAGE,
    "product": IMAGE,
    "dataset": Purpose(DATASET_TYPES, MAX_DATASET_BYTES, "merchant"),
}


@dataclass(frozen=True)
class FileFacts:
    """What a checked file is; width and height in pixels, of images only."""

    sha256: str
    width: int | None = None
    height: int | None = None


def upload_ends_at(presigned_at: datetime) -> datetime:
    """From then on no signed PUT of that moment works any more; a key stays buried until then."""
    return presigned_at + UPLOAD_END


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
    if purpose == "dataset":
        check = DatasetCheck(DATASET_TYPES[content_type])
        for start in range(0, len(data), CHUNK_BYTES):
            check.feed(data[start : start + CHUNK_BYTES])
        return check.finish()
    digest = sha256(data).hexdigest()
    found = inspect_image(data)
    if found.content_type != content_type:
        raise NotAnImage(f"the file is {found.content_type}, not {content_type} as announced")
    return FileFacts(digest, found.width, found.height)


class DatasetCheck:
    """UTF-8 throughout, and a first line of the right kind; the import judges every other line.

    Takes the file in pieces and keeps none of them.
    """

    def __init__(self, extension: str) -> None:
        self._extension = extension
        self._digest = sha256()
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._first_line = ""

    def feed(self, piece: bytes) -> None:
        """The next piece, of any size.

        Raises:
            Invalid: no UTF-8 text.
        """
        self._digest.update(piece)
        text = self._decode(piece)
        if "\x00" in text:
            raise Invalid("the dataset contains a NUL")
        first_line = self._first_line or text.lstrip().partition("\n")[0]
        self._first_line = first_line[:MAX_FIRST_LINE_CHARS]

    def finish(self) -> FileFacts:
        """What the file is, once all of it was fed.

        Raises:
            Invalid: neither CSV nor JSON lines.
        """
        self._decode(b"", final=True)
        if not self._first_line.strip():
            raise Invalid("the dataset is empty")
        if not is_first_line(self._first_line, self._extension):
            raise Invalid("the dataset starts with no CSV header and no JSON object")
        return FileFacts(self._digest.hexdigest())

    def _decode(self, piece: bytes, *, final: bool = False) -> str:
        try:
            return self._decoder.decode(piece, final=final)
        except UnicodeDecodeError:
            raise Invalid("the dataset is not UTF-8 text") from None


def is_first_line(line: str, extension: str) -> bool:
    """A JSON object for JSON lines; a header of names for CSV."""
    try:
        if extension == ".jsonl":
            return isinstance(json.loads(line), dict)
        return any(cell.strip() for cell in next(csv.reader([line], strict=True)))
    except (ValueError, RecursionError, csv.Error, StopIteration):
        return False
