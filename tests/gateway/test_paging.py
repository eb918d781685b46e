"""Cursors: ours come back whole, everything else is malformed."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import Malformed
from gateway.paging import Cursor, decode_cursor

MOMENTS = st.datetimes(
    min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)
)


@given(MOMENTS, st.text(alphabet=st.characters(blacklist_characters="\x00", codec="utf-8")))
def test_what_was_encoded_comes_back(at: datetime, row_id: str) -> None:
    assert decode_cursor(Cursor(at, row_id).encode()) == Cursor(at, row_id)


@given(st.text() | st.binary().map(lambda raw: raw.hex()))
def test_noise_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        decode_cursor(text)


def test_other_shapes_are_malformed() -> None:
    plus_one = timezone(timedelta(hours=1))
    assert decode_cursor(Cursor(datetime(2026, 1, 1, tzinfo=plus_one), "x").encode())
    for bad in (
        Cursor(datetime(2026, 1, 1), "x"),
        Cursor(datetime(2026, 1, 1, tzinfo=UTC), "a\x00"),
        Cursor(datetime(2026, 1, 1, tzinfo=UTC), "\ud800"),
    ):
        with pytest.raises(Malformed):
            decode_cursor(bad.encode())
    with pytest.raises(Malformed):
        _ = Cursor(datetime(2026, 1, 1, tzinfo=UTC), "no-uuid").key
