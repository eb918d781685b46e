"""Written PNGs keep every pixel and the profile, are readable by Pillow, and are small."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from drawing.people.people import draw_person
from models.png import encode_png

SHAPES = [(1, 1), (1, 1, 3), (7, 5), (64, 1, 3), (3, 301, 3), (257, 129),
          (2, 1_000_003), (1100, 1000), (701, 997, 3)]  # fmt: skip
"""The last three are packed in several bands."""


def reopened(data: bytes) -> Image.Image:
    """The picture, after verifying every checksum."""
    Image.open(io.BytesIO(data)).verify()
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize("shape", SHAPES)
def test_every_pixel_comes_back(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    for array in (pixels, pixels[::-1], np.asfortranarray(pixels)):
        image = reopened(encode_png(array))
        assert image.mode == ("L" if len(shape) == 2 else "RGB")
        np.testing.assert_array_equal(np.asarray(image), array)


def test_the_profile_is_kept() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels = np.zeros((4, 4, 3), np.uint8)
    assert reopened(encode_png(pixels, profile)).info["icc_profile"] == profile
    assert "icc_profile" not in reopened(encode_png(pixels)).info


def test_it_is_about_as_small_as_pillows() -> None:
    picture = draw_person(3, size=(960, 640)).image
    pixels = np.asarray(picture)
    assert len(encode_png(pixels)) < 1.1 * len(by_pillow(picture))
    mask: NDArray[np.uint8] = np.where(pixels[..., 0] > 128, 255, 0).astype(np.uint8)
    assert len(encode_png(mask)) < 1.3 * len(by_pillow(Image.fromarray(mask)))


def by_pillow(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=1)
    return out.getvalue()
