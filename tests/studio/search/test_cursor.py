"""Cursors: read back exactly, for their own query only, and never forged."""

import base64

import numpy as np
import pytest

from errors import Invalid, Malformed
from models.index.shapes import Position
from studio.search.cursor import SearchCursor, read_cursor

POSITION = Position(
    -0.1234567, "p\n1 é", 0.1 + 0.2, float(np.float32(0.3)), 7, frozenset({2**64 - 1, 5})
)


@pytest.mark.parametrize(("has_image", "has_text"), [(1, 0), (0, 1), (1, 1), (0, 0)])
def test_a_cursor_is_read_back_exactly(has_image: int, has_text: int) -> None:
    image, text = np.random.default_rng(0).normal(size=(2, 33)).astype(np.float32)
    cursor = SearchCursor(
        "v", "e", POSITION, image if has_image else None, text if has_text else None
    )
    again = read_cursor(cursor.encode("query", "secret"), "query", "secret")
    assert (again.version, again.embedder_version, again.position) == ("v", "e", POSITION)
    for own, other in ((again.image, cursor.image), (again.text, cursor.text)):
        assert (own is None and other is None) or np.array_equal(own, other)  # type: ignore[arg-type]


def test_another_query_is_told_apart_and_a_changed_cursor_is_refused() -> None:
    whole = SearchCursor("v", "e", POSITION, None, None).encode("query", "secret")
    with pytest.raises(Invalid, match="another search"):
        read_cursor(whole, "another", "secret")
    data = bytearray(base64.urlsafe_b64decode(whole + "=" * (-len(whole) % 4)))
    for place in range(len(data)):
        data[place] ^= 1
        with pytest.raises(Malformed):
            read_cursor(base64.urlsafe_b64encode(data).decode(), "query", "secret")
        data[place] ^= 1
    for text in ("", "é", "a", "a b", whole[:20]):
        with pytest.raises(Malformed):
            read_cursor(text, "query", "secret")
    with pytest.raises(Malformed):
        read_cursor(whole, "query", "another secret")
