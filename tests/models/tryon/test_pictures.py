"""Errors about a try-on's pictures say which picture, also in another process."""

import io
import pickle

import numpy as np
import pytest
from PIL import Image

from errors import NotAnImage, TooLarge
from models.images import MAX_BYTES
from models.tryon.pictures import read_garment, read_person, square_garment


def png(size: tuple[int, int] = (40, 30), colour: str = "white") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


def test_an_error_keeps_its_class_and_subject_when_it_is_pickled() -> None:
    for data, kind in ((b"no picture", NotAnImage), (b"\xff" * (MAX_BYTES + 1), TooLarge)):
        with pytest.raises(kind) as refusal:
            read_person(data)
        again = pickle.loads(pickle.dumps(refusal.value))
        assert type(again) is kind
        assert (again.subject, again.detail) == ("person", refusal.value.detail)


@pytest.mark.parametrize(
    ("garment", "mask", "subject"), [(b"x", png(), "garment"), (png(), b"x", "mask")]
)
def test_the_garment_and_its_mask_are_told_apart(garment: bytes, mask: bytes, subject: str) -> None:
    with pytest.raises(NotAnImage) as refusal:
        read_garment(garment, mask)
    assert refusal.value.subject == subject


def test_a_mask_is_where_its_picture_is_bright() -> None:
    picture = read_garment(png(), png(colour="white"))
    assert picture.image.size == (40, 30) and picture.mask.shape == (30, 40)
    assert picture.mask.all()
    assert not np.any(read_garment(png(), png(colour="#7f7f7f")).mask)


def test_the_whole_garment_is_alone_in_a_square() -> None:
    cloth = np.full((90, 30, 3), 40, np.uint8)
    cut = np.zeros((90, 30), bool)
    cut[5:85, 4:26] = True
    square = np.asarray(square_garment(cloth, cut))
    assert square.shape == (90, 90, 3)
    is_white = (square == 255).all(-1)
    np.testing.assert_array_equal(~is_white[:, 30:60], cut)
    assert is_white[:, :30].all() and is_white[:, 60:].all()
