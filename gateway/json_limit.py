"""Limits on a JSON document: depth, number of values and keys, and no repeated names."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from errors import Invalid, Malformed

MAX_DEPTH = 32
MAX_KEYS = 200
"""Limit for one object."""
MAX_VALUES = 25_000
SMALL_MAX_VALUES = 2_000
"""Limits for a whole document: arrays, objects and their values."""


@dataclass(frozen=True)
class DocumentLimits:
    """How large a document may be; `gateway.body_limit` limits its bytes."""

    max_depth: int = MAX_DEPTH
    max_keys: int = MAX_KEYS
    max_values: int = MAX_VALUES


class Repeated(ValueError):
    """An object has a name twice; parsers differ in which value they use."""


def check_document(body: bytes, limits: DocumentLimits) -> None:
    """Refuses documents that are costly to validate; the route refuses bodies that are not JSON.

    Raises:
        Malformed: it is nested too deeply, a number has too many digits, or an object has the same
            name twice.
        Invalid: it has too many values or keys.
    """
    try:
        document = DECODER.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
    except RecursionError:
        raise Malformed(f"the body is nested deeper than {limits.max_depth} levels") from None
    except Repeated:
        raise Malformed("an object of the body has the same name twice") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        return
    except ValueError:
        raise Malformed("the body has a number of too many digits") from None
    check_size(document, limits)


def unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Builds an object from its pairs.

    Raises:
        Repeated: two pairs have the same name.
    """
    document = dict(pairs)
    if len(document) != len(pairs):
        raise Repeated
    return document


DECODER = json.JSONDecoder(object_pairs_hook=unique_names)


def check_size(document: Any, limits: DocumentLimits) -> None:
    """Counts level by level, and stops at the first limit that is exceeded.

    Raises:
        Malformed, Invalid: as `check_document`.
    """
    count = 1
    level = [document] if isinstance(document, dict | list) else []
    depth = 0
    while level:
        depth += 1
        if depth > limits.max_depth:
            raise Malformed(f"the body is nested deeper than {limits.max_depth} levels")
        below: list[Any] = []
        for outer in level:
            count += len(outer)
            if isinstance(outer, dict) and len(outer) > limits.max_keys:
                raise Invalid(f"an object has more than {limits.max_keys} fields")
            if count > limits.max_values:
                raise Invalid(f"the body has more than {limits.max_values:,} values")
            below.extend(containers(outer.values() if isinstance(outer, dict) else outer))
        level = below


def containers(values: Iterable[Any]) -> list[Any]:
    """The values that are arrays or objects."""
    return [value for value in values if isinstance(value, dict | list)]
