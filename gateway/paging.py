"""Cursor pagination: opaque cursors over (created_at, id), newest first."""

import base64
import binascii
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Depends, Query

from errors import Malformed
from gateway.documents import show_rows
from gateway.wire import Page, WireResponse

DEFAULT_LIMIT = 20
MAX_LIMIT = 100

Row = TypeVar("Row")
Item = TypeVar("Item", bound=WireResponse)


@dataclass(frozen=True)
class Cursor:
    """The position of a page's last row; the next page starts after it."""

    at: datetime
    id: str

    def encode(self) -> str:
        """The cursor as URL-safe text that is opaque to callers."""
        plain = json.dumps([self.at.isoformat(), self.id]).encode()
        return base64.urlsafe_b64encode(plain).decode().rstrip("=")

    @property
    def uuid(self) -> UUID:
        """The row's id, for tables whose ids are UUIDs.

        Raises:
            Malformed: the id is not a UUID.
        """
        try:
            return UUID(self.id)
        except ValueError:
            raise Malformed("the cursor is not valid") from None

    @property
    def key(self) -> tuple[datetime, UUID]:
        """The position in the order (created_at, id), for tables whose ids are UUIDs."""
        return self.at, self.uuid


def decode_cursor(text: str) -> Cursor:
    """Decodes a cursor that a caller sent.

    Raises:
        Malformed: this API did not issue it.
    """
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        at_text, row_id = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        at = datetime.fromisoformat(at_text)
        if at.tzinfo is None or not isinstance(row_id, str) or "\x00" in row_id:
            raise ValueError
        row_id.encode("utf-8")
        at.timestamp()
    except (ValueError, TypeError, binascii.Error, OverflowError, RecursionError):
        raise Malformed("the cursor is not valid") from None
    return Cursor(at, row_id)


@dataclass(frozen=True)
class PageRequest:
    """The page of a list that a caller asks for."""

    limit: int
    after: Cursor | None

    @property
    def row_limit(self) -> int:
        """How many rows to read: one more than the page shows, to know if there is a next page."""
        return self.limit + 1

    @property
    def after_key(self) -> tuple[datetime, UUID] | None:
        """The position (created_at, id) to read after, for tables whose ids are UUIDs."""
        return self.after.key if self.after else None

    @property
    def after_name(self) -> tuple[datetime, str] | None:
        """The position (created_at, id) to read after, for tables whose ids are text."""
        return (self.after.at, self.after.id) if self.after else None


async def read_page_request(
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=2000)] = None,
) -> PageRequest:
    """Reads `?limit=&cursor=`."""
    return PageRequest(limit, decode_cursor(cursor) if cursor else None)


PageDep = Annotated[PageRequest, Depends(read_page_request)]


def creation_of(row: Any) -> Cursor:
    """The position of a row in the order (created_at, id), which most lists have."""
    return Cursor(row.created_at, str(row.id))


async def page_of(
    rows: Sequence[Row],
    page: PageRequest,
    to_wire: Callable[[Row], Item | Awaitable[Item]],
    *,
    position: Callable[[Row], Cursor] = creation_of,
) -> Page[Item]:
    """Builds the answer of a list route.

    Args:
        rows: up to `page.row_limit` rows in the order of the list.
        page: the caller's request.
        to_wire: converts a row; a row that it can't convert is logged and left out.
        position: returns the position of a row in the order of the list.
    """
    visible = rows[: page.limit]
    next_cursor = position(visible[-1]).encode() if len(rows) > page.limit else None
    return Page(items=await show_rows(visible, to_wire), next_cursor=next_cursor)
