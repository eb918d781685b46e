"""Delimited files: CSV with commas, semicolons or tabs, with or without a `sep=` line."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from errors import Invalid
from studio.files.text_lines import (
    BoundedLines,
    UnreadableLine,
    check_columns,
    find_repeated,
    list_names,
)

DELIMITERS = ",;\t"
SEP_LINE = re.compile(r"sep=(.)\r?\n?", re.IGNORECASE)


@dataclass(frozen=True)
class Row:
    """The cells of a row by column, without empty ones; an error instead if it can't be read."""

    number: int
    cells: dict[str, str]
    error: str | None = None


class DelimitedRows:
    """The rows of a delimited file below its header.

    Attributes:
        names: the columns, with white space in them as single spaces.
        has_decimal_comma: whether its numbers are written with decimal commas, as in files whose
            columns a comma can't separate.

    Raises:
        Invalid: there is no header, or it can't be used.
    """

    def __init__(self, lines: BoundedLines) -> None:
        first = _first_line(lines)
        match = SEP_LINE.fullmatch(first)
        delimiter = match[1] if match else None
        if match:
            first = _first_line(lines)
        self._lines = lines
        self.delimiter = delimiter or find_delimiter(first)
        self.has_decimal_comma = self.delimiter != ","
        rows = chain([first], lines)  # not a generator, which the error of a line would end
        # Tab-separated exports do not always quote; a quote within a cell is a character there.
        self._reader = csv.reader(rows, delimiter=self.delimiter, strict=self.delimiter != "\t")
        self.names = self._read_names()

    def __iter__(self) -> Iterator[Row]:
        while True:
            try:
                start = self._lines.number + 1
                cells = next(self._reader)
            except StopIteration:
                return
            except UnreadableLine as error:
                yield Row(self._lines.number, {}, error.detail)
                continue
            except csv.Error as error:
                detail = f"not CSV; the lines after it were not read: {error}"
                yield Row(self._lines.number, {}, detail)
                return
            if cells and any(cell.strip() for cell in cells):
                yield self._to_row(start, cells)

    def _to_row(self, number: int, cells: list[str]) -> Row:
        extra = len(cells) - len(self.names)
        if extra > 0 and not any(cell.strip() for cell in cells[-extra:]):
            cells = cells[:-extra]  # spreadsheets end rows with empty cells
        if len(cells) != len(self.names):
            detail = f"{len(cells):,} cells, and the header has {len(self.names)} columns"
            return Row(number, {}, detail)
        pairs = zip(self.names, cells, strict=True)
        return Row(number, {name: cell for name, cell in pairs if name and cell.strip()})

    def _read_names(self) -> list[str]:
        try:
            names = next(self._reader, None)
        except csv.Error as error:
            raise Invalid(f"the header is not CSV: {error}") from None
        except UnreadableLine as error:
            raise Invalid(f"the header is {error.detail}") from None
        if names is None:
            raise Invalid("the file is empty")
        names = [" ".join(name.split()) for name in names]
        check_columns(names)
        if repeated := find_repeated(names):
            raise Invalid(f"the header repeats {list_names(repeated)}")
        return names


def find_delimiter(header: str) -> str:
    """The delimiter that occurs most often in the header outside quotes; a comma if none does."""
    bare = re.sub(r'"[^"]*("|$)', "", header)
    return max(DELIMITERS, key=bare.count)


def _first_line(lines: BoundedLines) -> str:
    """The next line that is not blank.

    Raises:
        Invalid: there is none, or it can't be read.
    """
    try:
        line = next((line for line in lines if line.strip(" \t\r\n,;")), None)
    except UnreadableLine as error:
        raise Invalid(f"the header is {error.detail}") from None
    if line is None:
        raise Invalid("the file is empty")
    return line
