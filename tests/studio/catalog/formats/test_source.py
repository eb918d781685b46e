"""Opening an import file: its encoding, its format, its bounds."""

import json
import tempfile
import tracemalloc
from pathlib import Path

import pytest

from errors import Invalid
from studio.catalog.formats import source
from studio.catalog.formats.records import Record
from studio.catalog.formats.source import (
    MAX_LINE_BYTES,
    START_BYTES,
    FormatName,
    ImportSource,
    check_start,
    open_source,
)

PICTURE = "https://shop.example/a.jpg"
JSON_LINE = b'{"id": "a", "title": "A"}\n'
GOOGLE_XML = """<?xml version="1.0" encoding="{encoding}"?>
<rss xmlns:g="http://base.google.com/ns/1.0"><channel><title>Shop</title>
<item><g:id>é-1</g:id><g:title>Tee</g:title><g:price>5 EUR</g:price></item></channel></rss>"""


def read(
    data: bytes, *, skip: int = 0, format_name: FormatName = "auto", currency: str | None = None
) -> list[Record]:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "lines"
        path.write_bytes(data)
        with open_source(path, Path(name), format_name, currency) as opened:
            records = list(opened.read(skip=skip))
            assert len(records) + skip == opened.count()
            return records


def fields_of(records: list[Record], *names: str) -> list[tuple[object, ...]]:
    return [tuple((record.fields or {}).get(name) for name in names) for record in records]


def test_a_line_ends_at_its_line_feed_only() -> None:
    texts = ["a\u2028b", "a\x85b", "a\x0bb", "a\x1cb"]
    data = "\r\n".join(json.dumps({"title": text}, ensure_ascii=False) for text in texts)
    lines = read(data.encode())
    assert [line.error for line in lines[:2]] == [None, None]
    assert [line.number for line in lines] == [1, 2, 3, 4]
    assert [line.fields["title"] for line in lines[:2] if line.fields] == texts[:2]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (b'{"a": ' + b"9" * 5000 + b"}", "too large or too deep"),
        (b'{"a": ' + b"[" * 100_000, "too large or too deep"),
        (b'{"a": ' + b"[" * 300 + b"]" * 300 + b"}", "nested more than 8 levels"),
        (b'{"a": ' + b"[" * 8 + b"]" * 8 + b"}", "nested more than 8 levels"),
        (b'{"a": [' + b"1," * 6000 + b"1]}", "more than 5,000 names and values"),
        (json.dumps({str(at): at for at in range(3000)}).encode(), "more than 5,000"),
        (b'{"a": "' + b"x" * MAX_LINE_BYTES + b'"}', "longer than 1,000,000 bytes"),
        ('{"a": "ä'.encode() + b'\xff"}', "not UTF-8"),
        (b"[1]", "not a JSON object"),
        (b"{", "not JSON"),
    ],
)
def test_what_can_not_be_taken_is_one_bad_line(bad: bytes, said: str) -> None:
    lines = read(b"\n".join([b'{"a": 1}', bad, b"", b'{"a": 2}']))
    assert [line.fields for line in lines] == [{"a": 1}, None, {"a": 2}]
    assert [line.number for line in lines] == [1, 2, 4]
    assert said in str(lines[1].error) and len(str(lines[1].error)) < 200


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (b"x" * (MAX_LINE_BYTES + 1), "longer than 1,000,000 bytes"),
        (b"x," * 400_000, "400,001 cells, and the header has 2 columns"),
        ("ä".encode() + b"\xff,1", "not UTF-8"),
        (b"1", "1 cells"),
        (b"1,a,b", "3 cells"),
    ],
)
def test_a_bad_row_of_a_csv_is_one_bad_line(bad: bytes, said: str) -> None:
    lines = read(b"\n".join([b"id,title", b"1,a", bad, b"", b"2,b"]))
    assert [line.fields for line in lines] == [
        {"id": "1", "title": "a"}, None, {"id": "2", "title": "b"}
    ]  # fmt: skip
    assert [line.number for line in lines] == [2, 3, 5]
    assert said in str(lines[1].error)


def test_a_cell_without_an_end_ends_the_file() -> None:
    lines = read(b'id,title\n1,a\n2,"' + b"x\n" * 200_000)
    assert [line.fields for line in lines] == [{"id": "1", "title": "a"}, None]
    assert "field larger than field limit" in str(lines[1].error)


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (b"", "the file is empty"),
        (b"\xef\xbb\xbf \n", "the file is empty"),
        (b"\xff\xfe\x00\xd8x", "the file is not utf-16"),
        (",".join(f"column-{at}" for at in range(101)).encode(), "101 columns; at most 100"),
        (b"id,title,id\n", "the header repeats id"),
        (b'"id\n', "the header is not CSV"),
        (b"\n" * START_BYTES + b"id", "starts with 65,536 blank bytes"),
        (b"x" * (START_BYTES + 1), "the header is longer than 65,536 bytes"),
        (("x" * 500 + ",").encode() * 90 + b"\n", "the header repeats x"),
    ],
)  # fmt: skip
def test_a_file_is_judged_by_its_start(start: bytes, said: str) -> None:
    with pytest.raises(Invalid, match=said) as refused:
        check_start(start[:START_BYTES], is_whole=len(start) <= START_BYTES)
    assert len(str(refused.value)) < 200


def test_a_letter_that_the_start_cuts_in_two_is_no_mistake() -> None:
    text = ("id,title\n" + "ä" * START_BYTES).encode()
    for length in (100, 101):
        check_start(text[:length], is_whole=False)
    check_start(b"id,title,,\n1,a,,\n", is_whole=True)  # spreadsheets add columns without a name


def test_a_file_without_an_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MAX_LINES", 3)
    path = tmp_path / "lines"
    path.write_bytes(b"{}\n\n{}\n")
    assert ImportSource(path).count() == 2
    path.write_bytes(b"{}\n\n\n{}\n")
    with pytest.raises(Invalid, match="more than 3 lines"):
        ImportSource(path).count()


@pytest.mark.parametrize(
    ("start", "line", "end"),
    [
        (b"", b'{"a":1}\n', b""),
        (b"title,b\n", b"b,2\n", b""),
        (b"Handle,Title,Variant Price\n", b"h,t,1\n", b""),
        (b"<feed>", b"<entry><id>1</id></entry>\n", b"</feed>"),
    ],
)
def test_memory_does_not_grow_with_the_file(
    tmp_path: Path, start: bytes, line: bytes, end: bytes
) -> None:
    path = tmp_path / "lines"
    repeated = line if b"Handle" not in start else b"".join(
        b"h%d,t,1\n" % number for number in range(10)
    )  # fmt: skip
    path.write_bytes(start + repeated * (20_000 // repeated.count(b"\n")) + end)
    tracemalloc.start()
    opened = ImportSource(path)
    assert opened.count() == 20_000
    assert sum(1 for _ in opened.read(skip=15_000)) == 5_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "windows-1252"])
@pytest.mark.parametrize("has_sep_line", [False, True])
def test_a_sheet_is_read_in_any_encoding_and_with_any_delimiter(
    delimiter: str, encoding: str, *, has_sep_line: bool
) -> None:
    title = f'"Été {delimiter} ""50 €""\r\nnew"'
    rows = [["id", "title", "price", "currency"], ["é-1", title, "9.50", "EUR"]]
    text = "\r\n".join(delimiter.join(cells) for cells in rows) + "\r\n"
    text = f"sep={delimiter}\r\n{text}" if has_sep_line else text
    data = text.encode(encoding)
    check_start(data, is_whole=True)
    (record,) = read(data)
    assert record.fields == {
        "id": "é-1", "title": f'Été {delimiter} "50 €"\r\nnew', "price": "9.50", "currency": "EUR",
    }  # fmt: skip
    assert record.number == (3 if has_sep_line else 2)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "windows-1252", "iso-8859-1"])
def test_xml_is_read_in_its_own_encoding(encoding: str) -> None:
    data = GOOGLE_XML.format(encoding=encoding).encode(encoding)
    check_start(data, is_whole=True)
    assert fields_of(read(data), "id", "title", "price") == [("é-1", "Tee", "5")]


def test_a_format_is_found_by_the_first_bytes() -> None:
    google = (
        b"id\ttitle\timage link\tavailability\tprice\n"
        b"A/1\tTee\thttps://a.example\tin stock\t5 EUR\n"
    )
    shopify = b"Handle,Title,Variant Price,Variant SKU\ntee,Tee,5,A/1\n"
    assert fields_of(read(google), "id", "sku") == [("A-1", "A/1")]
    assert fields_of(read(shopify, currency="EUR"), "id", "groupId") == [("A-1", "tee")]
    assert fields_of(read(google, format_name="csv"), "id", "sku") == [("A/1", None)]


@pytest.mark.parametrize(
    ("data", "format_name", "said"),
    [
        (JSON_LINE, "csv", "the file is JSON lines, not csv"),
        (JSON_LINE, "google", "the file is JSON lines, not google"),
        (b"id,title\n1,a\n", "jsonl", "not JSON lines"),
        (GOOGLE_XML.encode(), "shopify", "the file is XML, not shopify"),
    ],
)
def test_a_wrong_format_is_named(data: bytes, format_name: FormatName, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        check_start(data, is_whole=True, format_name=format_name)
    with pytest.raises(Invalid, match=said):
        read(data, format_name=format_name)
