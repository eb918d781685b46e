"""Cursors survive encoding and everything else is malformed; pages hold up to their limit."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import Malformed
from gateway.paging import Cursor, PageRequest, decode_cursor, page_of
from gateway.wire import WireResponse

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


@dataclass
class Row:
    id: UUID
    created_at: datetime
    size_bytes: int = 1


class RowResponse(WireResponse):
    id: UUID
    size_bytes: int
    url: str = ""


async def read_later(prefix: str, row: Row) -> RowResponse:
    return RowResponse.from_row(row, url=f"{prefix}{row.id}")


def rows_of(count: int) -> list[Row]:
    return [
        Row(uuid4(), datetime(2026, 1, 1, tzinfo=UTC) - timedelta(days=n)) for n in range(count)
    ]


async def test_a_page_ends_at_its_limit_and_names_the_next_one() -> None:
    page = PageRequest(limit=2, after=None)
    rows = rows_of(3)
    assert page.row_limit == len(rows)
    answer = await page_of(rows, page, partial(read_later, "/"))
    assert [(item.id, item.url) for item in answer.items] == [
        (row.id, f"/{row.id}") for row in rows[:2]
    ]
    assert answer.next_cursor is not None
    assert decode_cursor(answer.next_cursor).key == (rows[1].created_at, rows[1].id)


@pytest.mark.parametrize("count", [0, 1, 2])
async def test_the_last_page_has_no_cursor(count: int) -> None:
    answer = await page_of(
        rows_of(count), PageRequest(2, None), partial(RowResponse.from_row, url="")
    )
    assert len(answer.items) == count
    assert answer.next_cursor is None


async def test_a_row_that_cannot_be_converted_is_left_out_and_still_counts() -> None:
    rows = rows_of(3)
    rows[1].size_bytes = None  # type: ignore[assignment]

    answer = await page_of(
        rows, PageRequest(2, None), partial(RowResponse.from_row, url=""),
        position=lambda row: Cursor(row.created_at, "a name"),
    )  # fmt: skip
    assert [item.id for item in answer.items] == [rows[0].id]
    assert decode_cursor(str(answer.next_cursor)) == Cursor(rows[1].created_at, "a name")
