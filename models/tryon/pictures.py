"""The pictures of a try-on: decoded, scaled to the working frame, and encoded."""

import numpy as np
from PIL import Image

from models.images import decode_image
from models.png import encode_png
from models.segmenter.shapes import Mask, Pixels
from models.tryon.checks import errors_about
from models.tryon.outline import bounds
from models.tryon.shapes import GarmentPicture

MASK_LEVEL = 127
"""A pixel of a mask's picture is inside where it is brighter."""


def read_person(data: bytes) -> Image.Image:
    """An encoded picture of a person -> upright RGB.

    Raises:
        NotAnImage, Invalid, TooLarge: about the person.
    """
    with errors_about("person"):
        return decode_image(data)


def read_garment(data: bytes, mask_data: bytes) -> GarmentPicture:
    """The encoded pictures of a garment and of its mask.

    Raises:
        NotAnImage, Invalid, TooLarge: about the garment or the mask.
    """
    with errors_about("garment"):
        image = decode_image(data)
    with errors_about("mask"):
        return GarmentPicture(image, np.asarray(decode_image(mask_data).convert("L")) > MASK_LEVEL)


def encode_result(image: Image.Image) -> bytes:
    """The finished try-on as PNG, with the colour profile of the person's picture."""
    return encode_png(np.asarray(image), image.info.get("icc_profile"))


def scale_person(person: Image.Image, side: int) -> Pixels:
    """The person with a longest side of at most `side`; a small picture keeps its size."""
    scale = min(1.0, side / max(person.size))
    size = (max(1, round(person.width * scale)), max(1, round(person.height * scale)))
    scaled = person if size == person.size else person.resize(size, Image.Resampling.LANCZOS)
    return np.asarray(scaled, dtype=np.uint8)


def crop_garment(garment: GarmentPicture, side: int) -> tuple[Pixels, Mask]:
    """The part of the garment's picture around its mask, and the mask's, about as large as it will
    be on a person in a frame of `side`.
    """
    image, mask = garment.image, garment.mask
    x0, y0, x1, y1 = bounds(mask)
    margin = max(2, round(0.03 * max(x1 - x0, y1 - y0)))
    box = (
        max(x0 - margin, 0), max(y0 - margin, 0),
        min(x1 + 1 + margin, image.width), min(y1 + 1 + margin, image.height),
    )  # fmt: skip
    cloth, cut = image.crop(box), Image.fromarray(mask.astype(np.uint8) * 255).crop(box)
    scale = min(1.0, 0.7 * side / max(cloth.size))
    size = (max(8, round(cloth.width * scale)), max(8, round(cloth.height * scale)))
    cloth = cloth.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(cloth, np.uint8), np.asarray(cut.resize(size)) > MASK_LEVEL


def square_garment(cloth: Pixels, cut: Mask) -> Image.Image:
    """The garment alone, on white, in the middle of a square.

    A network that sees the picture's background would take it for a part of the garment, and one
    that crops a long picture to its middle would not see neckline and hem.
    """
    side = max(cloth.shape[:2])
    square = Image.new("RGB", (side, side), "white")
    place = ((side - cloth.shape[1]) // 2, (side - cloth.shape[0]) // 2)
    square.paste(Image.fromarray(cloth), place, Image.fromarray(cut.astype(np.uint8) * 255))
    return square
