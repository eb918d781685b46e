"""Reads a sales CSV row by row: valid rows become columns, invalid ones are reported."""

import csv
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from math import isfinite, isnan, nan
from pathlib import Path
from typing import Any

from errors import Invalid
from studio.files.text_lines import (
    BoundedLines,
    UnreadableLine,
    check_columns,
    find_repeated,
    list_names,
)

COLUMNS = ("productId", "imageUrl", "date", "units", "price", "category", "brand")
DELIMITERS = ",;\t"
LARGEST = 1e9
MOST_ERRORS, MOST_NAMED, MOST_WORDS = 1000, 20, 10_000
MOST_PRODUCTS = 20_000
"""The maximum number of distinct products in one file."""
MAX_LINE_BYTES, MAX_LINES = 100_000, 5_000_000
NO_DAY = -1


@dataclass
class RowErrors:
    """The number of invalid rows, and the first thousand of them as {"line", "detail"}."""

    count: int = 0
    first: list[dict[str, Any]] = field(default_factory=list)

    def add(self, line: int, detail: str) -> None:
        """Adds a row by its line in the file, and the reason."""
        self.count += 1
        if len(self.first) < MOST_ERRORS:
            self.first.append({"line": line, "detail": detail})

    def refuse(self, total: int) -> None:
        """Refuses a file with invalid rows.

        Raises:
            Invalid: there are invalid rows; the message names the first ones.
        """
        if not self.count:
            return
        reasons = [f"line {row['line']}: {row['detail']}" for row in self.first[:MOST_NAMED]]
        more = "" if self.count <= MOST_NAMED else f"; and {self.count - MOST_NAMED:,} more"
        detail = "; ".join(reasons) + more
        raise Invalid(f"{self.count:,} of {total:,} lines can't be used: {detail}")


class SalesTable:
    """n valid rows, in about 40 bytes each; every distinct text is stored once.

    names: distinct products, as ("productId" or "imageUrl", text); item: (n,) positions in `names`;
    line: (n,) line numbers in the file; day: (n,) ordinals, -1 for no day; units, price: (n,), NaN
    for no price; category, brand: (n,) positions in `words`.
    """

    def __init__(self) -> None:
        self.names: dict[tuple[str, str], int] = {}
        self.words: dict[str, int] = {"": 0}
        self.item, self.line, self.day = array("i"), array("i"), array("i")
        self.units, self.price = array("d"), array("d")
        self.category, self.brand = array("i"), array("i")
        self.errors = RowErrors()

    def __len__(self) -> int:
        return len(self.item)

    @property
    def total(self) -> int:
        """The number of rows, valid or not; the header and empty lines don't count."""
        return len(self) + self.errors.count

    def add(self, line: int, fields: dict[str, str], *, needs_date: bool, today: date) -> None:
        """Adds a row by its fields.

        Raises:
            Invalid: a field's value is not valid for its column.
        """
        name = _name(fields)
        day = _day(fields.get("date", ""), needed=needs_date, today=today)
        units = _number("units", fields["units"])
        if units < 0:
            raise Invalid(f"units: {fields['units'][:40]!r} is below 0")
        price = _number("price", fields["price"]) if fields.get("price") else nan
        if price <= 0:
            raise Invalid(f"price: {fields['price'][:40]!r} is not above 0")
        self.item.append(self.names.setdefault(name, len(self.names)))
        self.line.append(line)
        self.day.append(day)
        self.units.append(units)
        self.price.append(price)
        self.category.append(self._word("category", fields))
        self.brand.append(self._word("brand", fields))

    def price_at(self, row: int) -> float | None:
        """The price of a row; None if it has no price."""
        return None if isnan(self.price[row]) else self.price[row]

    def day_at(self, row: int) -> date | None:
        """The day of a row; None if it has no day."""
        return None if self.day[row] == NO_DAY else date.fromordinal(self.day[row])

    def _word(self, column: str, fields: dict[str, str]) -> int:
        text = fields.get(column, "")[:200]
        if text not in self.words and len(self.words) >= MOST_WORDS:
            return 0
        return self.words.setdefault(text, len(self.words))


def read_sales(path: Path, *, needs_date: bool, most: int | None = None) -> SalesTable:
    """Reads a CSV file of UTF-8, with or without BOM, separated by comma, semicolon or tab.

    With semicolons or tabs, numbers may have a decimal comma.

    Raises:
        Invalid: the header is missing or wrong, or the file has no row, more than `most` rows, too
            many lines (blank ones included), or more than 20,000 different products.
    """
    table = SalesTable()
    today = date.today() + timedelta(days=1)  # in some time zones it is tomorrow already
    most_lines = MAX_LINES if most is None else 2 * most + 1
    with path.open("rb") as file:
        lines = BoundedLines(file, max_bytes=MAX_LINE_BYTES, max_lines=most_lines)
        header, delimiter = _read_header(lines, needs_date=needs_date)
        for number, fields in _rows(lines, header, delimiter, table.errors):
            _add_line(table, number, fields, delimiter, needs_date=needs_date, today=today)
            if most is not None and table.total > most:
                raise Invalid(f"the file has more than {most:,} lines")
            if len(table.names) > MOST_PRODUCTS:
                raise Invalid(f"the file has more than {MOST_PRODUCTS:,} different products")
    if not table.total:
        raise Invalid("the file has a header and no lines")
    return table


def _add_line(
    table: SalesTable, number: int, fields: dict[str, str], delimiter: str, *,
    needs_date: bool, today: date,
) -> None:  # fmt: skip
    if delimiter != ",":
        for column in ("units", "price"):
            if column in fields:
                fields[column] = fields[column].replace(",", ".")
    try:
        table.add(number, fields, needs_date=needs_date, today=today)
    except Invalid as error:
        table.errors.add(number, error.detail)


def _read_header(lines: BoundedLines, *, needs_date: bool) -> tuple[list[str], str]:
    """The columns and the delimiter."""
    try:
        line = next(lines, "")
        delimiter = max(DELIMITERS, key=line.count)
        names = [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]
    except UnreadableLine as error:
        raise Invalid(f"the header is {error.detail}") from None
    except csv.Error as error:
        raise Invalid(f"the header is not CSV: {error}") from None
    _check_header(names, needs_date=needs_date)
    return names, delimiter


def _check_header(names: list[str], *, needs_date: bool) -> None:
    check_columns(names)
    wrong = [name for name in names if name not in COLUMNS]
    missing = [name for name in ("units", *(("date",) if needs_date else ())) if name not in names]
    if not {"productId", "imageUrl"} & set(names):
        missing.insert(0, "productId or imageUrl")
    problems = [
        f"{what} {list_names(columns)}"
        for what, columns in (
            ("lacks", missing), ("has unknown", wrong), ("repeats", find_repeated(names))
        )
        if columns
    ]  # fmt: skip
    if problems:
        raise Invalid(f"the header {' and '.join(problems)}; columns are {', '.join(COLUMNS)}")


def _rows(
    lines: BoundedLines, header: list[str], delimiter: str, errors: RowErrors
) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, fields) of every row with as many cells as the header; skips empty lines."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except UnreadableLine as error:
            errors.add(lines.number, error.detail)
            continue
        except csv.Error as error:
            errors.add(lines.number, f"not CSV; the lines after it were not read: {error}")
            return
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            detail = f"{len(cells):,} cells where the header has {len(header)}"
            errors.add(lines.number, detail)
            continue
        yield lines.number, dict(zip(header, (cell.strip() for cell in cells), strict=True))


def _name(fields: dict[str, str]) -> tuple[str, str]:
    names = [(column, fields[column]) for column in COLUMNS[:2] if fields.get(column)]
    if len(names) != 1:
        raise Invalid("give either productId or imageUrl")
    column, text = names[0]
    if len(text) > 4096 or "\x00" in text:
        raise Invalid(f"{column}: the value is longer than 4,096 characters or contains a NUL")
    return column, text


def _day(text: str, *, needed: bool, today: date) -> int:
    if not text and not needed:
        return NO_DAY
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise Invalid(f"date: {text[:40]!r} is not a date like 2026-01-31") from None
    if day > today:
        raise Invalid(f"date: {text} is in the future")
    return day.toordinal()


def _number(column: str, text: str) -> float:
    try:
        value = float(text) if "_" not in text else nan
    except ValueError:
        value = nan
    if not isfinite(value) or abs(value) > LARGEST:
        raise Invalid(f"{column}: {text[:40]!r} is not a number up to a billion")
    return value
