"""The ids of products and the addresses of pages that forms accept."""

import re
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from studio.forms import ProductId, WebAddress

IDS: TypeAdapter[str] = TypeAdapter(ProductId)
ADDRESSES: TypeAdapter[str] = TypeAdapter(WebAddress)


@pytest.mark.parametrize(
    "text", ["a", "x" * 200, "ä b", "…", "a.b", "...", "-", "100%", "p?q#r", "日本", "a\\b", "~:_"]
)
def test_an_id_is_any_text_that_a_path_can_contain(text: str) -> None:
    assert IDS.validate_python(text) == text
    assert re.fullmatch(IDS.json_schema()["pattern"], text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "1 to 200 characters; this one has 0"),
        ("x" * 201, "1 to 200 characters; this one has 201"),
        (".", "have a meaning in paths"),
        ("..", "have a meaning in paths"),
        ("a/b", "no / and no control characters"),
        ("a\nb", "no / and no control characters"),
        ("a\x7f", "no / and no control characters"),
        ("a\x9f", "no / and no control characters"),
        (" a", "no space at its start or end"),
        ("a\u00a0", "no space at its start or end"),
        ("a\x00", "can't be stored"),
        ("\ud800", "can't be stored"),
    ],
)
def test_other_ids_are_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        IDS.validate_python(text)


def test_what_the_schema_of_an_id_refuses_is_refused() -> None:
    schema: dict[str, Any] = IDS.json_schema()
    assert (schema["minLength"], schema["maxLength"]) == (1, 200)
    for text in ("a/b", "a\x00", "a\x1f", "a\x7f", "a\x80"):
        assert re.fullmatch(schema["pattern"], text) is None


@pytest.mark.parametrize("url", ["javascript:alert(1)", "ftp://x.example", "//x", "https://", "x"])
def test_an_address_is_one_of_the_web(url: str) -> None:
    assert ADDRESSES.validate_python("https://shop.example/coat?size=m#top")
    with pytest.raises(ValidationError, match="http or https"):
        ADDRESSES.validate_python(url)
