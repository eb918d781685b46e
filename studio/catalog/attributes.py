"""The rules of a product's attributes: a flat object of bounded size."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from errors import Invalid

MAX_ATTRIBUTES, MAX_NAME_CHARS, MAX_TEXT_CHARS, MAX_LIST_ITEMS = 50, 64, 500, 50
MAX_NUMBER = 2**53
"""Every JSON parser reads whole numbers up to this one exactly."""

TEXT_SCHEMA = {"type": "string", "maxLength": MAX_TEXT_CHARS}
VALUE_SCHEMA = {
    "anyOf": [
        TEXT_SCHEMA,
        {"type": "number", "minimum": -MAX_NUMBER, "maximum": MAX_NUMBER},
        {"type": "boolean"},
        {"type": "array", "items": TEXT_SCHEMA, "maxItems": MAX_LIST_ITEMS},
    ]
}


def check_count(value: Any) -> Any:
    """Checks the number of attributes before their values are validated.

    Raises:
        ValueError: there are too many attributes.
    """
    if isinstance(value, Mapping) and len(value) > MAX_ATTRIBUTES:
        raise ValueError(f"has {len(value):,} attributes; at most {MAX_ATTRIBUTES} are allowed")
    return value


def check_value(value: Any) -> Any:
    """Returns the value of an attribute unchanged.

    Raises:
        ValueError: it is not a string, number, boolean or list of strings, or it is too large.
    """
    if isinstance(value, str):
        _check_text(value, "has")
    elif isinstance(value, list):
        if len(value) > MAX_LIST_ITEMS:
            raise ValueError(f"has {len(value):,} items; at most {MAX_LIST_ITEMS} are allowed")
        for place, item in enumerate(value):
            if not isinstance(item, str):
                raise ValueError(f"item {place} is not a string")
            _check_text(item, f"item {place} has")
    elif isinstance(value, bool):
        pass
    elif not isinstance(value, int | float):
        raise ValueError("must be a string, a number, true, false or a list of strings")
    elif not abs(value) <= MAX_NUMBER:
        raise ValueError(f"must be a number between -{MAX_NUMBER} and {MAX_NUMBER}")
    return value


def _check_text(text: str, subject: str) -> None:
    if len(text) > MAX_TEXT_CHARS:
        raise ValueError(
            f"{subject} {len(text):,} characters; at most {MAX_TEXT_CHARS} are allowed"
        )


def check_change(value: Any) -> Any:
    """Returns the new value of an attribute unchanged; None removes the attribute.

    Raises:
        ValueError: as `check_value`.
    """
    return value if value is None else check_value(value)


Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS)]
Value = Annotated[Any, AfterValidator(check_value), WithJsonSchema(VALUE_SCHEMA)]
Attributes = Annotated[
    dict[Name, Value], Field(max_length=MAX_ATTRIBUTES), BeforeValidator(check_count)
]
AttributeChanges = Annotated[
    dict[
        Name,
        Annotated[
            Any,
            AfterValidator(check_change),
            WithJsonSchema({"anyOf": [*VALUE_SCHEMA["anyOf"], {"type": "null"}]}),
        ],
    ],
    Field(max_length=MAX_ATTRIBUTES),
    BeforeValidator(check_count),
]


def merge_attributes(stored: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    """A product's attributes after a PATCH: None removes one, the others replace or add one.

    Raises:
        Invalid: there would be too many attributes.
    """
    merged = dict(stored) if isinstance(stored, Mapping) else {}
    for name, value in changes.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = value
    if len(merged) > MAX_ATTRIBUTES:
        count = f"the product would have {len(merged)}; at most {MAX_ATTRIBUTES} are allowed"
        raise Invalid(f"attributes: {count}")
    return merged


def split_attributes(stored: Any) -> tuple[dict[str, Any], list[str]]:
    """Splits a row's attributes: the valid ones, and the names of the others.

    Rows that are older than these rules may contain any value.
    """
    if not isinstance(stored, Mapping):
        return {}, [type(stored).__name__]
    valid: dict[str, Any] = {}
    invalid: list[str] = []
    for name, value in stored.items():
        if len(valid) < MAX_ATTRIBUTES and _is_attribute(name, value):
            valid[name] = value
        else:
            invalid.append(str(name)[:MAX_NAME_CHARS])
    return valid, invalid


def _is_attribute(name: Any, value: Any) -> bool:
    try:
        check_value(value)
    except ValueError:
        return False
    return isinstance(name, str) and 0 < len(name) <= MAX_NAME_CHARS
