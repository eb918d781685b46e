"""How the lines of an import are told apart, before anything is written."""

import json

from studio.catalog_import import read_lines


def test_a_line_ends_at_its_line_feed_only() -> None:
    texts = ["a\u2028b", "a\x85b", "a\x0bb", "a\x1cb"]
    data = "\r\n".join(json.dumps({"title": text}, ensure_ascii=False) for text in texts)
    lines = read_lines(data.encode())
    assert [line.error for line in lines[:2]] == [None, None]
    assert [line.number for line in lines] == [1, 2, 3, 4]
    assert [line.fields["title"] for line in lines[:2] if line.fields] == texts[:2]


def test_what_python_can_not_read_is_one_bad_line() -> None:
    bad = [b'{"a": ' + b"9" * 5000 + b"}", b'{"a": ' + b"[" * 100_000, b"[1]", b"{"]
    lines = read_lines(b"\n".join([b'{"a": 1}', *bad, b'{"a": 2}']))
    assert [line.fields for line in lines] == [{"a": 1}, None, None, None, None, {"a": 2}]
    assert all(line.error for line in lines[1:-1])
