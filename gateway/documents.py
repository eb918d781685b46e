"""Stored rows and JSON documents in answers: what can't be shown is left out and logged."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Any, TypeVar

import structlog
from pydantic import BeforeValidator

from errors import NotFound

MAX_DEPTH = 32
"""Levels of a document that is answered; the serialiser refuses 255."""
ROW_ERRORS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError,
              NotFound)  # fmt: skip
"""What a row raises that holds what nobody expected; a server that is away is no such error."""

Row = TypeVar("Row")
Item = TypeVar("Item")

log = structlog.get_logger("studio.gateway")


def is_within(value: Any, depth: int = MAX_DEPTH) -> bool:
    """Whether a JSON value is nested at most so deeply."""
    level = [value]
    for _ in range(depth):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return True
    return not any(isinstance(one, dict | list) for one in level)


def shown_document(value: Any) -> Any:
    """A stored document without the entries that are nested too deeply to be answered."""
    if not isinstance(value, dict) or is_within(value):
        return value
    hidden = [name for name, inner in value.items() if not is_within(inner, MAX_DEPTH - 1)]
    log.warning("a document was shown in part", hidden=len(hidden))
    return {name: inner for name, inner in value.items() if name not in hidden}


Document = Annotated[dict[str, Any], BeforeValidator(shown_document)]
"""A field of an answer that shows a JSONB column."""


async def show_rows(rows: Iterable[Row], show: Callable[[Row], Awaitable[Item]]) -> list[Item]:
    """The items of a list; a row that can't be shown is left out, so the others are still seen."""
    items = list[Item]()
    for row in rows:
        try:
            items.append(await show(row))
        except ROW_ERRORS as error:
            kind = type(row).__name__
            key = getattr(row, "id", None) or getattr(row, "version", None)
            log.error(
                "a row was left out of a list", table=kind, key=f"{key!s:.200}",
                error=type(error).__name__,
            )  # fmt: skip
    return items
