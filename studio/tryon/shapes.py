"""Shapes between the studio and TryOn: an order of stored pictures, its steps and its result."""

from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from errors import Invalid
from models.tryon.shapes import TryOnOptions


@dataclass(frozen=True, kw_only=True)
class TryOnOrder(TryOnOptions):
    """A try-on whose pictures are in the blob store; the payload of a queued one.

    mask_key: the garment's mask, of the garment's size. segment_ms: how long the pictures took
    before TryOn, segmentation included.
    """

    person_key: str
    garment_key: str
    mask_key: str
    segment_ms: float = 0.0

    @classmethod
    def from_payload(cls, payload: dict[str, Any]) -> "TryOnOrder":
        """A stored payload -> order.

        Raises:
            Invalid: the payload no longer names a picture, because it was deleted.
        """
        try:
            return _PAYLOADS.validate_python(payload)
        except ValidationError:
            raise Invalid(
                "the garment's picture or mask was deleted: submit a new try-on"
            ) from None

    def to_payload(self) -> dict[str, Any]:
        """What a job stores: the fields that have a value."""
        payload: dict[str, Any] = _PAYLOADS.dump_python(self, mode="json", exclude_none=True)
        return payload


_PAYLOADS = TypeAdapter(TryOnOrder)


@dataclass(frozen=True)
class TryOnTicket:
    """Where a try-on's picture is written, and its place in the queue.

    accepted_s: seconds of the epoch; an owner's earliest try-on comes first. network: where the
    request came from; empty for a job.
    """

    output_key: str
    accepted_s: float
    owner: str = ""
    network: str = ""


@dataclass(frozen=True)
class TryOnStep:
    """Progress of a try-on: steps done, steps in all, and the step that begins."""

    done: int
    total: int
    message: str


@dataclass(frozen=True)
class TryOnResult:
    """A finished try-on: steps, milliseconds by step, the networks' version, the blob's size."""

    category: str
    width: int
    height: int
    steps: list[str]
    timings: dict[str, float]
    model_version: str
    size_bytes: int


@dataclass(frozen=True)
class TryOnLoad:
    """How many try-ons wait at the TryOn replica that answers, and what it takes directly."""

    waiting: int
    direct_waiting: int
    direct_pixels: int
    model_version: str
