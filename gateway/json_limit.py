"""Bounds of a JSON document, judged before any form is: depth, values, keys, repeated names."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from errors import Invalid, Malformed

MAX_DEPTH = 32
MAX_KEYS = 200
"""Of one object."""
MAX_VALUES = 25_000
SMALL_MAX_VALUES = 2_000
"""Of a whole document: arrays, objects and what they hold."""


@dataclass(frozen=True)
class DocumentLimits:
    """How large a document may be; bytes are `gateway.body_limit`'s."""

    max_depth: int = MAX_DEPTH
    max_keys: int = MAX_KEYS
    max_values: int = MAX_VALUES


class Repeated(ValueError):
    """An object that holds a name twice; parsers differ in which value counts."""


def check_document(body: bytes, limits: DocumentLimits) -> None:
    """Refuses what would cost much to judge; what is no JSON at all is left to the route.

    Raises:
        Malformed: too deep, a number of too many digits, or a name twice in one object.
        Invalid: more values or keys than are taken.
    """
    try:
        document = DECODER.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
    except RecursionError:
        raise Malformed(f"the body is nested deeper than {limits.max_depth} levels") from None
    except Repeated:
        raise Malformed("an object of the body holds the same name twice") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        return
    except ValueError:
        raise Malformed("the body holds a number of too many digits") from None
    check_size(document, limits)


def unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Pairs -> object.

    Raises:
        Repeated: a name stands for two values.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Repeated
    return found


DECODER = json.JSONDecoder(object_pairs_hook=unique_names)


def check_size(document: Any, limits: DocumentLimits) -> None:
    """Walks level by level, and stops at the first bound that is passed.

    Raises:
        Malformed, Invalid: see `check_document`.
    """
    count = 1
    level = [document] if isinstance(document, dict | list) else []
    depth = 0
    while level:
        depth += 1
        if depth > limits.max_depth:
            raise Malformed(f"the body is nested deeper than {limits.max_depth} levels")
        below: list[Any] = []
        for holder in level:
            count += len(holder)
            if isinstance(holder, dict) and len(holder) > limits.max_keys:
                raise Invalid(f"an object has more than {limits.max_keys} fields")
            if count > limits.max_values:
                raise Invalid(f"the body holds more than {limits.max_values:,} values")
            below.extend(containers(holder.values() if isinstance(holder, dict) else holder))
        level = below


def containers(values: Iterable[Any]) -> list[Any]:
    """Those that hold others."""
    return [value for value in values if isinstance(value, dict | list)]
