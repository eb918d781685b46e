"""Encodings of import files: UTF-8, UTF-16, or Windows-1252, as spreadsheets write them.

A file without a byte order mark is UTF-8 if it has a character outside ASCII that is valid UTF-8,
or none at all; single bad bytes in it are errors of their lines. Otherwise it is Windows-1252.
"""

import codecs
import re
import shutil
from pathlib import Path
from typing import BinaryIO

from errors import Invalid

CHUNK_BYTES = 1 << 16
UTF_8, UTF_16, WINDOWS_1252 = "utf-8", "utf-16", "windows-1252"
MARKS = {codecs.BOM_UTF8: UTF_8, codecs.BOM_UTF16_LE: UTF_16, codecs.BOM_UTF16_BE: UTF_16}
MULTIBYTE = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe1-\xef][\x80-\xbf]{2}|\xe0[\xa0-\xbf][\x80-\xbf]"
    rb"|[\xf0-\xf4][\x80-\xbf]{3}"
)
HIGH = re.compile(rb"[\x80-\xff]")


def find_encoding(file: BinaryIO) -> str:
    """The encoding of a file from its place on; the file's place is not changed."""
    start = file.tell()
    try:
        return _find_encoding(file)
    finally:
        file.seek(start)


def _find_encoding(file: BinaryIO) -> str:
    chunk = file.read(CHUNK_BYTES)
    for mark, encoding in MARKS.items():
        if chunk.startswith(mark):
            return encoding
    has_high, tail = False, b""
    while chunk:
        if MULTIBYTE.search(tail + chunk):
            return UTF_8
        has_high = has_high or HIGH.search(chunk) is not None
        tail, chunk = chunk[-3:], file.read(CHUNK_BYTES)
    return WINDOWS_1252 if has_high else UTF_8


def write_utf8(source: BinaryIO, path: Path, encoding: str) -> None:
    """Writes the file as UTF-8, piece by piece, so that memory does not grow with it.

    Raises:
        Invalid: a UTF-16 file ends within a character, or is not UTF-16.
    """
    decoder = codecs.getincrementaldecoder(encoding)("replace" if encoding != UTF_16 else "strict")
    with path.open("wb") as target:
        if encoding == UTF_8:
            shutil.copyfileobj(source, target, CHUNK_BYTES)
            return
        try:
            while chunk := source.read(CHUNK_BYTES):
                target.write(decoder.decode(chunk).encode())
            target.write(decoder.decode(b"", final=True).encode())
        except UnicodeError as error:
            raise Invalid(f"the file is not {encoding}: {error}") from None


def decode_start(start: bytes, *, is_whole: bool) -> bytes:
    """The first bytes of a file as UTF-8 without a byte order mark.

    `is_whole`: whether they are all of the file; otherwise the last character may be cut.

    Raises:
        Invalid: they are UTF-16 by their mark, and are not.
    """
    encoding = next((name for mark, name in MARKS.items() if start.startswith(mark)), None)
    if encoding is None:
        has_multibyte = MULTIBYTE.search(start) is not None
        is_utf8 = has_multibyte or HIGH.search(start) is None
        encoding = UTF_8 if is_utf8 or (not is_whole and len(start) < 4) else WINDOWS_1252
    if encoding == UTF_8:
        return start.removeprefix(codecs.BOM_UTF8)
    errors = "strict" if encoding == UTF_16 else "replace"
    try:
        return codecs.getincrementaldecoder(encoding)(errors).decode(start, is_whole).encode()
    except UnicodeError as error:
        raise Invalid(f"the file is not {encoding}: {error}") from None
