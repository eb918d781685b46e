"""Which files the studio accepts, and how their content is checked."""

import codecs
import csv
import json
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Literal

from db.tables import Role
from errors import Invalid, NotAnImage, TooLarge
from integrations.blobs.keys import CHUNK_BYTES, EXTENSIONS
from integrations.blobs.lifetimes import UPLOAD_END
from models.bounds.formats import FORMATS
from models.images import MAX_BYTES, inspect_image

IMAGE_TYPES = {kind.content_type: EXTENSIONS[kind.content_type] for kind in FORMATS}
DATASET_TYPES = {kind: EXTENSIONS[kind] for kind in ("text/csv", "application/x-ndjson")} | {
    "application/jsonl": EXTENSIONS["application/x-ndjson"]
}
"""The extension of each content type that is accepted."""
MAX_DATASET_BYTES = 200_000_000
MAX_FIRST_LINE_CHARS = 100_000


PurposeName = Literal["selfie", "garment", "product", "dataset"]


@dataclass(frozen=True)
class Purpose:
    """The purpose of an upload decides its content types, its size and who may upload it."""

    extensions: dict[str, str]
    max_bytes: int
    role: Role = "customer"


IMAGE = Purpose(IMAGE_TYPES, MAX_BYTES)
PURPOSES: dict[PurposeName, Purpose] = {
    "selfie": IMAGE,
    "garment": IMAGE,
    "product": IMAGE,
    "dataset": Purpose(DATASET_TYPES, MAX_DATASET_BYTES, "merchant"),
}


@dataclass(frozen=True)
class FileFacts:
    """The facts of a checked file; width and height in pixels, for images only."""

    sha256: str
    width: int | None = None
    height: int | None = None


def upload_ends_at(presigned_at: datetime) -> datetime:
    """The time after which a PUT that was presigned at `presigned_at` can't arrive any more."""
    return presigned_at + UPLOAD_END


def extension_for(purpose: PurposeName, content_type: str, size_bytes: int) -> str:
    """The extension of the blob's key.

    Raises:
        Invalid: the purpose does not accept this content type.
        TooLarge: the file is larger than the purpose allows.
    """
    rules = PURPOSES[purpose]
    if content_type not in rules.extensions:
        accepted = ", ".join(rules.extensions)
        raise Invalid(f"the contentType for a {purpose} must be one of {accepted}")
    if size_bytes > rules.max_bytes:
        raise TooLarge(f"a {purpose} may have at most {rules.max_bytes:,} bytes")
    return rules.extensions[content_type]


def inspect_file(data: bytes, purpose: str, content_type: str) -> FileFacts:
    """Reads the whole file once. This is slow: call it in a thread.

    Raises:
        NotAnImage, Invalid, TooLarge: the file is not what was announced.
    """
    if purpose == "dataset":
        check = DatasetCheck(DATASET_TYPES[content_type])
        for start in range(0, len(data), CHUNK_BYTES):
            check.feed(data[start : start + CHUNK_BYTES])
        return check.finish()
    digest = sha256(data).hexdigest()
    image = inspect_image(data)
    if image.content_type != content_type:
        raise NotAnImage(f"the file is {image.content_type}, not {content_type} as announced")
    return FileFacts(digest, image.width, image.height)


class DatasetCheck:
    """Checks that a dataset is text and starts with a valid line; the import checks the others.

    A CSV may also be UTF-16 with a byte order mark, or in an encoding of one byte a character. It
    receives the file in pieces and stores none of them.
    """

    def __init__(self, extension: str) -> None:
        self._extension = extension
        self._digest = sha256()
        self._decoder: codecs.IncrementalDecoder | None = None
        self._first_line = ""

    def feed(self, piece: bytes) -> None:
        """Checks the next piece, of any size.

        Raises:
            Invalid: it is not text.
        """
        self._digest.update(piece)
        text = self._decode(piece)
        if "\x00" in text:
            raise Invalid("the dataset contains a NUL")
        first_line = self._first_line or text.lstrip().partition("\n")[0]
        self._first_line = first_line[:MAX_FIRST_LINE_CHARS]

    def finish(self) -> FileFacts:
        """Returns the facts of the file after its last piece.

        Raises:
            Invalid: it is neither CSV nor JSON lines.
        """
        self._decode(b"", final=True)
        if not self._first_line.strip():
            raise Invalid("the dataset is empty")
        if not is_first_line(self._first_line, self._extension):
            raise Invalid("the dataset starts with neither a CSV header nor a JSON object")
        return FileFacts(self._digest.hexdigest())

    def _decode(self, piece: bytes, *, final: bool = False) -> str:
        if self._decoder is None:
            is_utf16 = piece.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
            encoding = "utf-16" if is_utf16 and self._extension == ".csv" else "utf-8-sig"
            self._decoder = codecs.getincrementaldecoder(encoding)()
        try:
            return self._decoder.decode(piece, final=final)
        except UnicodeError:
            if self._extension != ".csv":
                raise Invalid("the dataset is not UTF-8 text") from None
            self._decoder = codecs.getincrementaldecoder("windows-1252")("replace")
            return self._decoder.decode(piece, final=final)


def is_first_line(line: str, extension: str) -> bool:
    """Whether the line is a JSON object (for JSON lines) or a header of names (for CSV)."""
    try:
        if extension == ".jsonl":
            return isinstance(json.loads(line), dict)
        return any(cell.strip() for cell in next(csv.reader([line], strict=True)))
    except (ValueError, RecursionError, csv.Error, StopIteration):
        return False
