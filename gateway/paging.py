"""Cursor pagination: opaque cursors over (created_at, id), newest first."""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query

from errors import Malformed

DEFAULT_LIMIT = 20
MAX_LIMIT = 100


@dataclass(frozen=True)
class Cursor:
    """The last row of a page; the next page holds what comes after it."""

    at: datetime
    id: str

    def encode(self) -> str:
        """Opaque to callers, safe in a URL."""
        plain = json.dumps([self.at.isoformat(), self.id]).encode()
        return base64.urlsafe_b64encode(plain).decode().rstrip("=")

    @property
    def uuid(self) -> UUID:
        """The id of a row whose ids are UUIDs.

        Raises:
            Malformed: it is none.
        """
        try:
            return UUID(self.id)
        except ValueError:
            raise Malformed("the cursor is not one of ours") from None

    @property
    def key(self) -> tuple[datetime, UUID]:
        """Where a query over (created_at, id) goes on."""
        return self.at, self.uuid


def decode_cursor(text: str) -> Cursor:
    """What a caller sent back -> cursor.

    Raises:
        Malformed: it is not one of ours.
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
        raise Malformed("the cursor is not one of ours") from None
    return Cursor(at, row_id)


@dataclass(frozen=True)
class PageRequest:
    """Which page of a list is wanted."""

    limit: int
    after: Cursor | None

    @property
    def after_key(self) -> tuple[datetime, UUID] | None:
        """For queries over (created_at, id) with UUIDs."""
        return self.after.key if self.after else None


def read_page_request(
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=2000)] = None,
) -> PageRequest:
    """`?limit=&cursor=` -> page request."""
    return PageRequest(limit, decode_cursor(cursor) if cursor else None)


PageDep = Annotated[PageRequest, Depends(read_page_request)]
