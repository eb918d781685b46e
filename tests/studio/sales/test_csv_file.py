"""Sales files: every bad line is named with its reason, whatever merchants' spreadsheets write."""

import tracemalloc
from datetime import date, timedelta
from pathlib import Path

import pytest

from errors import Invalid
from studio.sales import csv_file as sales_csv
from studio.sales.csv_file import MOST_ERRORS, SalesTable, read_sales

HEADER = "productId,date,units,price\n"


def read(folder: Path, text: str | bytes, *, needs_date: bool = True) -> SalesTable:
    path = folder / "sales.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_sales(path, needs_date=needs_date)


def reasons(table: SalesTable) -> dict[int, str]:
    return {row["line"]: row["detail"] for row in table.errors.first}


def test_good_lines_become_columns(tmp_path: Path) -> None:
    table = read(tmp_path, HEADER + "a,2026-02-03,5,\nb,2026-01-02,0,19.99\n\na,2025-12-31,2.5,7\n")
    assert not table.errors.count
    assert list(table.names) == [("productId", "a"), ("productId", "b")]
    assert list(table.item) == [0, 1, 0]
    assert list(table.units) == [5.0, 0.0, 2.5]
    assert list(table.line) == [2, 3, 5]
    assert list(table.price)[1:] == [19.99, 7.0]
    assert table.price[0] != table.price[0]
    assert date.fromordinal(table.day[2]) == date(2025, 12, 31)  # rows may be in any order
    assert [table.price_at(row) for row in range(3)] == [None, 19.99, 7.0]
    assert table.day_at(1) == date(2026, 1, 2)


def test_spreadsheets_of_other_countries(tmp_path: Path) -> None:
    text = "﻿productId;date;units;price;category;brand\r\na;2026-01-02;1,5;19,90;dress;\r\n"
    table = read(tmp_path, text)
    assert (table.units[0], table.price[0]) == (1.5, 19.9)
    assert list(table.words) == ["", "dress"]
    assert read(tmp_path, "units\tproductId\n3\ta\n", needs_date=False).units[0] == 3.0


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ("a,2026-01-02,nan,1", "units: 'nan'"),
        ("a,2026-01-02,-3,1", "below 0"),
        ("a,2026-01-02,inf,1", "units: 'inf'"),
        ("a,2026-01-02,1e300,1", "up to a billion"),
        ("a,2026-01-02,1_000,1", "units: '1_000'"),
        ("a,2026-01-02,,1", "units: ''"),
        ("a,2026-01-02,ten,1", "units: 'ten'"),
        ("a,2026-01-02,1,0", "not above 0"),
        ("a,2026-01-02,1,-1", "not above 0"),
        ("a,2026-02-30,1,1", "not a date like"),
        ("a,02/03/2026,1,1", "not a date like"),
        ("a,,1,1", "not a date like"),
        (f"a,{date.today() + timedelta(days=40)},1,1", "future"),
        (",2026-01-02,1,1", "either productId or imageUrl"),
        ("a,2026-01-02,1", "3 cells where the header has 4"),
        ("a,2026-01-02,1,1,1", "5 cells"),
        (b"\xff,2026-01-02,1,1", "not UTF-8"),
        ("a,2026-01-02,-" + "0" * 50_000 + "3,1", "below 0"),
        ("a,2026-01-02,1,-" + "0" * 50_000 + "3", "not above 0"),
        ("a,2026-01-02,1," + "1" * 100_000, "longer than 100,000 bytes"),
        ("a,2026-01-02,1,1" + "," * 90_000, "90,004 cells where the header has 4"),
    ],
)
def test_bad_lines_are_named_and_good_ones_kept(
    tmp_path: Path, cells: str | bytes, said: str
) -> None:
    bad = cells if isinstance(cells, bytes) else cells.encode()
    lines = [HEADER.strip().encode(), b"x,2026-01-01,1,1", bad, b"y,2026-01-01,1,1", b""]
    table = read(tmp_path, b"\n".join(lines))
    assert len(table) == 2
    assert list(reasons(table)) == [3]
    assert said in reasons(table)[3] and len(reasons(table)[3]) < 200
    with pytest.raises(Invalid, match="1 of 3 lines can't be used: line 3: "):
        table.errors.refuse(table.total)


def test_a_quote_that_never_ends_is_told(tmp_path: Path) -> None:
    table = read(tmp_path, HEADER + 'a,2026-01-02,1,1\nb,2026-01-02,"1,1\nc,2026-01-02,1,1\n')
    assert len(table) == 1
    assert "not CSV" in table.errors.first[0]["detail"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,2026-01-02,1\n", "lacks productId or imageUrl, units, date and has unknown a"),
        ("productId,units\na,1\n", "lacks date"),
        ("productId,date,units,colour\n", "has unknown colour"),
        ("productId,date,units,units\n", "repeats units"),
        (HEADER, "no lines"),
        ("", "lacks"),
        (b"\xff\xfep\x00r\x00", "the header is not UTF-8"),
    ],
)
def test_files_that_are_no_sales(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        read(tmp_path, text)


def test_a_wide_header_is_refused_before_its_names_are_compared(tmp_path: Path) -> None:
    names = (f"column-{at}" for at in range(5000))
    with pytest.raises(Invalid, match="the header has 5,000 columns; at most 100 are allowed"):
        read(tmp_path, ",".join(names) + "\n")
    with pytest.raises(Invalid, match="the header is longer than 100,000 bytes"):
        read(tmp_path, "x" * 5_000_000)


def test_messages_repeat_little_of_a_header(tmp_path: Path) -> None:
    names = [f"{at:02}" * 400 for at in range(45)]
    with pytest.raises(Invalid, match=r"has unknown 00.* and 80 more.*repeats 00") as refused:
        read(tmp_path, ",".join(names * 2) + "\n")
    assert len(str(refused.value)) < 1200


def test_blank_lines_and_different_products_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sales.csv"
    path.write_text(HEADER + "a,2026-01-02,1,1\n" * 10 + "\n" * 10)
    assert len(read_sales(path, needs_date=True, most=10)) == 10
    path.write_text(HEADER + "\n" * 21)
    with pytest.raises(Invalid, match="more than 21 lines"):
        read_sales(path, needs_date=True, most=10)
    monkeypatch.setattr(sales_csv, "MOST_PRODUCTS", 3)
    with pytest.raises(Invalid, match="more than 3 different products"):
        read(tmp_path, HEADER + "".join(f"{name},2026-01-02,1,1\n" for name in "abcd"))


def test_more_lines_than_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_text(HEADER + "a,2026-01-02,1,1\n" * 11)
    with pytest.raises(Invalid, match="more than 10 lines"):
        read_sales(path, needs_date=True, most=10)


@pytest.mark.parametrize("lines", [30_000, pytest.param(1_000_000, marks=pytest.mark.proof)])
def test_a_long_file_takes_little_memory(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "sales.csv"
    with path.open("w") as file:
        file.write(HEADER)
        file.writelines(
            f"product-{at % 997},2026-01-{1 + at % 28:02},{'nan' if at % 5 == 0 else at},9.5\n"
            for at in range(lines)
        )
    tracemalloc.start()
    table = read_sales(path, needs_date=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(table), table.errors.count) == (lines * 4 // 5, lines // 5)
    assert len(table.errors.first) == MOST_ERRORS
    assert peak < 2_000_000 + 60 * lines
