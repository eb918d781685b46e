"""Rows of delimited files: delimiters, headers, rows of another length."""

import io

import pytest

from errors import Invalid
from studio.catalog.formats.delimited import DelimitedRows, find_delimiter
from studio.files.text_lines import BoundedLines


def rows_of(text: str) -> DelimitedRows:
    file = io.BytesIO(text.encode())
    return DelimitedRows(BoundedLines(file, max_bytes=1_000, max_lines=1_000))


@pytest.mark.parametrize(
    ("header", "delimiter"),
    [("id,title", ","), ("id;title;a,b", ";"), ("id\ttitle", "\t"), ("id", ","),
     ('"a;b;c;d",title,price', ",")],
)  # fmt: skip
def test_the_delimiter_is_that_of_the_header(header: str, delimiter: str) -> None:
    assert find_delimiter(header) == delimiter


def test_cells_by_column() -> None:
    rows = rows_of('\n;;\nid;"price\n(EUR)";title;;\n1;2;"a\nb";;\n\n;;;;\n2;;c\n3;4;d;;;;\n')
    assert rows.names == ["id", "price (EUR)", "title", "", ""] and rows.has_decimal_comma
    good, short, long = rows
    assert good.cells == {"id": "1", "price (EUR)": "2", "title": "a\nb"} and good.number == 5
    assert short.error == "3 cells, and the header has 5 columns" and short.number == 9
    assert long.cells == {"id": "3", "price (EUR)": "4", "title": "d"}


def test_a_quote_within_a_cell_of_a_tab_separated_file() -> None:
    (row,) = rows_of('id\ttitle\n1\tSoft, "slim" fit\n')
    assert row.cells["title"] == 'Soft, "slim" fit'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("sep=;\n", "the file is empty"),
        ("a,b,a\n", "the header repeats a"),
        ("x" * 2000, "the header is longer than 1,000 bytes"),
        ('a\x00,"b\n', "the header is not CSV"),
    ],
)
def test_a_header_that_can_not_be_used(text: str, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        rows_of(text)
