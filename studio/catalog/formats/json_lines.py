"""JSON lines: one object a line, with the names of a PUT."""

import json
from functools import partial
from typing import Any

from errors import Invalid
from studio.catalog.formats.records import RawRecord, RawRecords, Record
from studio.files.text_lines import BoundedLines, UnreadableLine

MAX_DEPTH, MAX_NODES = 8, 5_000
"""Limits for one line of JSON: levels of nesting, and the total number of names and values."""


def read_json_lines(lines: BoundedLines) -> RawRecords:
    """Yields the lines that are not blank."""
    while True:
        try:
            text = next(lines)
        except StopIteration:
            return
        except UnreadableLine as error:
            yield RawRecord(lines.number, error=error.detail)
            continue
        if text.strip():
            yield RawRecord(lines.number, partial(_to_record, text))


def _to_record(text: str) -> Record:
    return Record(0, parse_object(text))


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
