"""Reads lines of untrusted text files, with bounds on their length and their number."""

from collections import Counter
from collections.abc import Sequence
from typing import BinaryIO

from errors import Invalid

MAX_COLUMNS, MAX_NAMES_LISTED, MAX_NAME_CHARS = 100, 10, 40


class UnreadableLine(Invalid):
    """A line that can't be read; reading continues with the next one."""


class BoundedLines:
    """Iterates over the lines of a UTF-8 file, with or without BOM; a line ends at its line feed.

    `number` is the line that was read last, counted from 1. Only one line is in memory.

    Raises, while it is iterated over:
        UnreadableLine: a line is too long or not UTF-8; the next call reads the line after it.
        Invalid: the file has too many lines.
    """

    def __init__(self, file: BinaryIO, *, max_bytes: int, max_lines: int) -> None:
        self.number = 0
        self._file = file
        self._max_bytes = max_bytes
        self._max_lines = max_lines

    def __iter__(self) -> "BoundedLines":
        return self

    def __next__(self) -> str:
        line = self._file.readline(self._max_bytes + 1)
        if not line:
            raise StopIteration
        if self.number >= self._max_lines:
            raise Invalid(f"the file has more than {self._max_lines:,} lines")
        self.number += 1
        if len(line) > self._max_bytes:
            while line and not line.endswith(b"\n"):
                line = self._file.readline(self._max_bytes)
            raise UnreadableLine(f"longer than {self._max_bytes:,} bytes")
        try:
            return line.decode("utf-8-sig" if self.number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise UnreadableLine(f"not UTF-8 (byte {error.start} of the line)") from None


def check_columns(names: Sequence[str]) -> None:
    """Checks the number of columns of a header.

    Raises:
        Invalid: there are too many columns.
    """
    if len(names) > MAX_COLUMNS:
        raise Invalid(f"the header has {len(names):,} columns; at most {MAX_COLUMNS} are allowed")


def find_repeated(names: Sequence[str]) -> list[str]:
    """Names that occur more than once, sorted; columns without a name don't count."""
    return sorted(name for name, count in Counter(names).items() if count > 1 and name)


def list_names(names: Sequence[str]) -> str:
    """Names from a caller's file for a message: the first few, each shortened."""
    listed = ", ".join(name[:MAX_NAME_CHARS] for name in names[:MAX_NAMES_LISTED])
    more = len(names) - MAX_NAMES_LISTED
    return f"{listed} and {more:,} more" if more > 0 else listed
