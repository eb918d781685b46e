"""The stored payload of a queued try-on: an order's fields that have a value."""

from typing import Any

from pydantic import TypeAdapter, ValidationError

from errors import Invalid
from models.tryon.shapes import TryOnOrder

_PAYLOADS = TypeAdapter(TryOnOrder)


def order_from_payload(payload: dict[str, Any]) -> TryOnOrder:
    """Reads a stored payload.

    Raises:
        Invalid: the payload no longer names a picture, because it was deleted.
    """
    try:
        return _PAYLOADS.validate_python(payload)
    except ValidationError:
        raise Invalid("the garment's picture or mask was deleted: submit a new try-on") from None


def payload_of(order: TryOnOrder) -> dict[str, Any]:
    """The payload that a job stores: the fields that have a value."""
    payload: dict[str, Any] = _PAYLOADS.dump_python(order, mode="json", exclude_none=True)
    return payload
