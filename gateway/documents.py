"""Puts stored rows and JSON documents into answers; logs and leaves out values that can't be sent.

A value can't be sent if it is nested too deeply or does not have the expected form.
"""

from collections.abc import Awaitable, Callable, Iterable
from inspect import isawaitable
from typing import Annotated, Any, TypeVar

import structlog
from pydantic import BeforeValidator

from errors import NotFound
from gateway.wire import WireResponse

MAX_DEPTH = 32
"""Levels of nesting that an answer may have; pydantic's serialiser fails at 255."""
ROW_ERRORS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError,
              NotFound)  # fmt: skip
"""Errors of a row with unexpected contents; an unreachable server is not among them."""

Row = TypeVar("Row")
Item = TypeVar("Item", bound=WireResponse)

log = structlog.get_logger("studio.gateway")


def is_within(value: Any, depth: int = MAX_DEPTH) -> bool:
    """Whether a JSON value has at most `depth` levels of nesting."""
    level = [value]
    for _ in range(depth):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return True
    return not any(isinstance(inner, dict | list) for inner in level)


def shown_document(value: Any) -> Any:
    """Returns a stored document without the entries that are nested too deeply for an answer."""
    if not isinstance(value, dict) or is_within(value):
        return value
    hidden = [name for name, inner in value.items() if not is_within(inner, MAX_DEPTH - 1)]
    log.warning("a document was shown in part", hidden=len(hidden))
    return {name: inner for name, inner in value.items() if name not in hidden}


Document = Annotated[dict[str, Any], BeforeValidator(shown_document)]
"""A field of an answer that holds the value of a JSONB column."""


async def show_rows(
    rows: Iterable[Row], to_wire: Callable[[Row], Item | Awaitable[Item]]
) -> list[Item]:
    """Converts the rows of a list; a row that can't be converted is logged and left out."""
    items = list[Item]()
    for row in rows:
        try:
            item = to_wire(row)
            items.append(await item if isawaitable(item) else item)
        except ROW_ERRORS as error:
            kind = type(row).__name__
            key = getattr(row, "id", None) or getattr(row, "version", None)
            log.error(
                "a row was left out of a list", table=kind, key=f"{key!s:.200}",
                error=type(error).__name__,
            )  # fmt: skip
    return items
