"""Reads an import file, CSV or JSON lines, line by line, within bounds."""

import codecs
import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO

from errors import Invalid
from studio.files.text_lines import (
    BoundedLines,
    UnreadableLine,
    check_columns,
    find_repeated,
    list_names,
)

START_BYTES = 1 << 16
"""Bytes of a file that are checked before it is accepted; a CSV header must fit into them."""
MAX_LINE_BYTES = 1_000_000
MAX_LINES = 5_000_000
MAX_DEPTH, MAX_NODES = 8, 5_000
"""Limits for one line of JSON: levels of nesting, and the total number of names and values."""


@dataclass(frozen=True)
class Line:
    """One line of the file: its number from 1, and its fields, or an error if it has none."""

    number: int
    fields: dict[str, Any] | None
    error: str | None = None


@dataclass(frozen=True)
class RawLine:
    """A line before parsing: JSON text, the cells of a CSV row by column, or an error."""

    number: int
    content: str | dict[str, str] | None
    error: str | None = None

    def parse(self) -> Line:
        """Parses the content into fields."""
        if not isinstance(self.content, str):
            return Line(self.number, self.content, self.error)
        try:
            return Line(self.number, parse_object(self.content))
        except Invalid as error:
            return Line(self.number, None, error.detail)


def read_lines(file: BinaryIO, *, skip: int = 0) -> Iterator[Line]:
    """Yields the lines that are not blank, without the first `skip` of them.

    Only one line is in memory at a time.

    Raises, while it is iterated over:
        Invalid: the CSV's header can't be used, or the file has too many lines.
    """
    return (record.parse() for record in islice(read_raw_lines(file), skip, None))


def count_lines(file: BinaryIO) -> int:
    """Counts the lines that `read_lines` yields, without parsing them. Raises the same errors."""
    return sum(1 for _ in read_raw_lines(file))


def read_raw_lines(file: BinaryIO) -> Iterator[RawLine]:
    """Like `read_lines`, without parsing; the first character determines the format."""
    start = file.read(START_BYTES)
    file.seek(0)
    lines = BoundedLines(file, max_bytes=MAX_LINE_BYTES, max_lines=MAX_LINES)
    return _json_lines(lines) if is_json_lines(start) else _csv_lines(lines)


def is_json_lines(start: bytes) -> bool:
    """Whether a file that starts with these bytes contains JSON objects."""
    return start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")


def check_start(start: bytes, *, is_whole: bool) -> None:
    """Checks the first bytes of a file.

    Raises:
        Invalid: they are blank or not UTF-8, or the header of a CSV file can't be used.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        text = decoder.decode(start, final=is_whole)
    except UnicodeDecodeError as error:
        raise Invalid(f"the file is not UTF-8 (byte {error.start})") from None
    if not text.strip():
        what = "is empty" if is_whole else f"starts with {len(start):,} blank bytes"
        raise Invalid(f"the file {what}")
    if not is_json_lines(start):
        if not is_whole and "\n" not in text.lstrip():
            raise Invalid(f"the header is longer than {START_BYTES:,} bytes")
        lines = BoundedLines(io.BytesIO(start), max_bytes=START_BYTES, max_lines=MAX_LINES)
        _read_header(csv.reader(lines, strict=True))


def parse_object(text: str) -> dict[str, Any]:
    """Parses one line of JSON.

    Raises:
        Invalid: it is not a JSON object, or it is nested too deeply or too large.
    """
    try:
        fields = json.loads(text)
    except json.JSONDecodeError as error:
        raise Invalid(f"not JSON: {error}") from None
    except (ValueError, RecursionError):  # a huge number, or very deep nesting
        raise Invalid("not JSON that can be read: too large or too deep") from None
    if not isinstance(fields, dict):
        raise Invalid("not a JSON object")
    check_size(fields)
    return fields


def check_size(value: Any) -> None:
    """Checks the depth and the size of a JSON value.

    Raises:
        Invalid: the value is nested too deeply, or has too many names and values.
    """
    count, level = 0, [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                count += 2 * len(item)
                below.extend(item.values())
            elif isinstance(item, list):
                count += len(item)
                below.extend(item)
            if count > MAX_NODES:
                raise Invalid(f"more than {MAX_NODES:,} names and values in one line")
        if not below:
            return
        level = below
    raise Invalid(f"nested more than {MAX_DEPTH} levels deep")


def _json_lines(lines: BoundedLines) -> Iterator[RawLine]:
    while True:
        try:
            text = next(lines)
        except StopIteration:
            return
        except UnreadableLine as error:
            yield RawLine(lines.number, None, error.detail)
            continue
        if text.strip():
            yield RawLine(lines.number, text)


def _csv_lines(lines: BoundedLines) -> Iterator[RawLine]:
    reader = csv.reader(lines, strict=True)
    names = _read_header(reader)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except UnreadableLine as error:
            yield RawLine(lines.number, None, error.detail)
            continue
        except csv.Error as error:
            detail = f"not CSV; the lines after it were not read: {error}"
            yield RawLine(lines.number, None, detail)
            return
        if not cells:
            continue
        if len(cells) != len(names):
            detail = f"{len(cells):,} cells, and the header has {len(names)} columns"
            yield RawLine(lines.number, None, detail)
            continue
        fields = {name: cell for name, cell in zip(names, cells, strict=True) if cell != ""}
        yield RawLine(lines.number, fields)


def _read_header(reader: Iterator[list[str]]) -> list[str]:
    """Reads the column names of a CSV file from its first line that is not blank.

    Raises:
        Invalid: there is no header, it is not CSV, or it has too many or repeated columns.
    """
    try:
        names = next((cells for cells in reader if any(cell.strip() for cell in cells)), None)
    except csv.Error as error:
        raise Invalid(f"the header is not CSV: {error}") from None
    except UnreadableLine as error:
        raise Invalid(f"the header is {error.detail}") from None
    if names is None:
        raise Invalid("the file is empty")
    check_columns(names)
    if repeated := find_repeated(names):
        raise Invalid(f"the header repeats {list_names(repeated)}")
    return names
