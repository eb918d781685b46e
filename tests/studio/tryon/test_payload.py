"""A queued try-on's payload is the order itself; payloads of earlier versions still run."""

import pickle
from typing import Any

import pytest

from errors import Conflict, Invalid, Unavailable
from models.tryon.shapes import TryOnOptions
from studio.tryon.forms import naming_fields
from studio.tryon.payload import order_from_payload, payload_of

STORED: dict[str, Any] = {
    "person_key": "uploads/a/p.png", "garment_key": "uploads/a/g.png", "mask_key": "masks/a/m.png",
    "category": "upper", "quality": "fast", "seed": 7, "segment_ms": 12.5,
}  # fmt: skip


def test_a_stored_payload_is_the_order_itself() -> None:
    order = order_from_payload(STORED)
    assert (order.person_key, order.seed, order.segment_ms) == ("uploads/a/p.png", 7, 12.5)
    assert order.steps is None and order.category_shares is None
    assert payload_of(order) == STORED
    assert isinstance(order, TryOnOptions)
    assert pickle.loads(pickle.dumps(order)) == order


def test_what_the_segmenter_says_is_stored_with_the_order() -> None:
    shares = {"upper": 0.75, "lower": 0.25, "dress": 0.0}
    order = order_from_payload(STORED | {"category_shares": shares})
    assert order.category_shares == shares
    assert order_from_payload(payload_of(order)) == order


@pytest.mark.parametrize("name", ["garment_key", "mask_key"])
def test_a_payload_without_a_picture_says_why(name: str) -> None:
    payload = {key: value for key, value in STORED.items() if key != name}
    with pytest.raises(Invalid, match="was deleted"):
        order_from_payload(payload)


@pytest.mark.parametrize(
    ("subject", "field"),
    [("person", "personUrl"), ("garment", "garmentUrl"), ("mask", "maskUrl"),
     ("category", "category")],
)  # fmt: skip
def test_an_error_about_a_picture_names_the_field(subject: str, field: str) -> None:
    with pytest.raises(Unavailable) as error, naming_fields():
        raise Unavailable("try again").about(subject)
    assert error.value.detail == f"{field}: try again"


def test_an_error_about_nothing_stays_as_it_is() -> None:
    original = Conflict("answered meanwhile")
    with pytest.raises(Conflict) as error, naming_fields():
        raise original
    assert error.value is original
