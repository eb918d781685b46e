"""JSON lines: objects of bounded size."""

import io

import pytest

from errors import Invalid
from studio.catalog.formats.json_lines import parse_object, read_json_lines
from studio.files.text_lines import BoundedLines


def test_lines_are_objects() -> None:
    lines = BoundedLines(io.BytesIO(b'{"id": "a"}\n\n[1]\n'), max_bytes=100, max_lines=9)
    good, bad = [raw.parse() for raw in read_json_lines(lines)]
    assert good.fields == {"id": "a"} and good.product_id == "a" and good.number == 1
    assert bad.error == "not a JSON object" and bad.number == 3


@pytest.mark.parametrize("text", ["{", "[]", '{"a": ' + "9" * 5000 + "}", "NaN"])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_object(text)
