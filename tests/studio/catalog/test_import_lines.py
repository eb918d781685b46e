"""Reading the lines of an import file, before anything is written."""

import io
import json
import tracemalloc
from pathlib import Path

import pytest

from errors import Invalid
from studio.catalog import import_lines
from studio.catalog.import_lines import (
    MAX_LINE_BYTES,
    START_BYTES,
    Line,
    check_start,
    count_lines,
    read_lines,
)


def read(data: bytes, *, skip: int = 0) -> list[Line]:
    return list(read_lines(io.BytesIO(data), skip=skip))


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
        (b'{"a": "\xff"}', "not UTF-8"),
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
        (b"," * 500_000, "500,001 cells, and the header has 2 columns"),
        (b"\xff,1", "not UTF-8"),
        (b"1", "1 cells"),
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
        (b"\xff\xfe\x00", "not UTF-8"),
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


def test_a_file_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_lines, "MAX_LINES", 3)
    assert count_lines(io.BytesIO(b"{}\n\n{}\n")) == 2
    with pytest.raises(Invalid, match="more than 3 lines"):
        count_lines(io.BytesIO(b"{}\n\n\n{}\n"))


@pytest.mark.parametrize("line", [b'{"a":1}\n', b"b,2\n"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "lines"
    path.write_bytes((b"" if line[:1] == b"{" else b"a,b\n") + line * 60_000)
    tracemalloc.start()
    with path.open("rb") as file:
        assert count_lines(file) == 60_000
        file.seek(0)
        assert sum(1 for _ in read_lines(file, skip=40_000)) == 20_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
