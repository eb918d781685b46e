"""Opens an import file: finds its encoding and format, and yields its records."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Literal

from errors import Invalid
from studio.catalog.formats.delimited import DelimitedRows
from studio.catalog.formats.encoding import UTF_8, decode_start, find_encoding, write_utf8
from studio.catalog.formats.google import is_google_header, read_google_items, read_google_rows
from studio.catalog.formats.json_lines import read_json_lines
from studio.catalog.formats.plain import read_plain
from studio.catalog.formats.records import RawRecords, Record
from studio.catalog.formats.shopify import is_shopify_header, read_shopify
from studio.catalog.formats.xml_items import read_xml_items
from studio.files.text_lines import BoundedLines

START_BYTES = 1 << 16
"""Bytes of a file that are checked before it is accepted; a CSV header must fit into them."""
MAX_LINE_BYTES = 1_000_000
MAX_LINES = 5_000_000

FormatName = Literal["auto", "jsonl", "csv", "google", "shopify"]


@dataclass(frozen=True)
class ImportSource:
    """An import file on the disk, as UTF-8 unless it is XML, which names its own encoding.

    Attributes:
        path: where it is.
        format: its format; "auto" finds it by its first bytes.
        currency: of prices that name none.
    """

    path: Path
    format: FormatName = "auto"
    currency: str | None = None

    def read(self, *, skip: int = 0) -> Iterator[Record]:
        """Yields the records without the first `skip`; only few rows are in memory at a time.

        Raises, while it is iterated over:
            Invalid: the header can't be used, the format is another one, or there are too many
                lines.
        """
        with self.path.open("rb") as file:
            for raw in islice(self._raw(file), skip, None):
                yield raw.parse()

    def count(self) -> int:
        """Counts the records without parsing them. Raises as `read`."""
        with self.path.open("rb") as file:
            return sum(1 for _ in self._raw(file))

    def _raw(self, file: BinaryIO) -> RawRecords:
        start = file.read(START_BYTES).removeprefix(b"\xef\xbb\xbf").lstrip()
        file.seek(0)
        if is_xml(start):
            require_format(self.format, "google", "XML")
            return read_google_items(read_xml_items(file), self.currency)
        lines = BoundedLines(file, max_bytes=MAX_LINE_BYTES, max_lines=MAX_LINES)
        if start.startswith(b"{"):
            require_format(self.format, "jsonl", "JSON lines")
            return read_json_lines(lines)
        return self._delimited(DelimitedRows(lines))

    def _delimited(self, rows: DelimitedRows) -> RawRecords:
        name = self.format
        if name == "jsonl":
            raise Invalid("the file is not JSON lines, as ?format=jsonl says")
        if name == "shopify" or (name == "auto" and is_shopify_header(rows.names)):
            return read_shopify(rows, self.currency)
        if name == "google" or (name == "auto" and is_google_header(rows.names)):
            return read_google_rows(rows, self.currency)
        return read_plain(rows, self.currency)


def require_format(name: FormatName, actual: FormatName, what: str) -> None:
    """Checks that the caller's name for the format fits.

    Raises:
        Invalid: it does not.
    """
    if name not in {"auto", actual}:
        raise Invalid(f"the file is {what}, not {name} as ?format={name} says")


def is_xml(start: bytes) -> bool:
    """Whether a file that starts with these bytes is XML, in UTF-8 or UTF-16."""
    return start.replace(b"\x00", b"").lstrip(b"\xff\xfe\xef\xbb\xbf \t\r\n").startswith(b"<")


@contextmanager
def open_source(
    path: Path, folder: Path, format_name: FormatName, currency: str | None
) -> Iterator[ImportSource]:
    """An import file, written again as UTF-8 into the folder where it has another encoding.

    Raises:
        Invalid: a UTF-16 file is damaged.
    """
    with path.open("rb") as file:
        is_text = not is_xml(file.read(START_BYTES))
        file.seek(0)
        encoding = find_encoding(file) if is_text else UTF_8
        if encoding == UTF_8:
            yield ImportSource(path, format_name, currency)
            return
        copy = folder / "utf-8"
        write_utf8(file, copy, encoding)
    try:
        yield ImportSource(copy, format_name, currency)
    finally:
        copy.unlink()


def check_start(start: bytes, *, is_whole: bool, format_name: FormatName = "auto") -> None:
    """Checks the first bytes of a file.

    Raises:
        Invalid: they are blank, of another format, or the header can't be used.
    """
    if is_xml(start):
        require_format(format_name, "google", "XML")
        return
    text = decode_start(start, is_whole=is_whole)
    if not text.strip(b" \t\r\n\x00"):
        what = "is empty" if is_whole else f"starts with {len(start):,} blank bytes"
        raise Invalid(f"the file {what}")
    if text.lstrip().startswith(b"{"):
        require_format(format_name, "jsonl", "JSON lines")
        return
    if not is_whole and b"\n" not in text.lstrip():
        raise Invalid(f"the header is longer than {START_BYTES:,} bytes")
    lines = BoundedLines(io.BytesIO(text), max_bytes=2 * START_BYTES, max_lines=MAX_LINES)
    rows = DelimitedRows(lines)
    ImportSource(Path(), format_name)._delimited(rows)


def is_json_lines(start: bytes) -> bool:
    """Whether a file that starts with these bytes contains JSON objects."""
    return start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")
