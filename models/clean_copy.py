"""The copy of an outside picture that the studio stores: full size, without metadata."""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from errors import TooLarge
from models.images import MAX_BYTES, decode_cutout, to_srgb

LOSSLESS = (b"\x89PNG", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
QUALITIES = (95, 85, 75)


@dataclass(frozen=True)
class CleanCopy:
    """An encoded picture without EXIF, GPS, comments or profiles; upright, in sRGB."""

    data: bytes
    content_type: str
    width: int
    height: int


def clean_copy(data: bytes) -> CleanCopy:
    """Re-encodes a picture: as PNG if it is a cut-out or may be lossless (a mask), else as JPEG.

    A cut-out keeps its outline as alpha; its other pixels are white.

    Raises:
        NotAnImage, Invalid, TooLarge: as `models.images.inspect_image`.
    """
    image, _, opaque = decode_cutout(data)
    to_srgb(image)
    image.info.clear()  # Pillow would write some of it again
    if opaque is not None or data.startswith(LOSSLESS):
        encoded = _encoded(image if opaque is None else _cut_out(image, opaque), "PNG")
        if len(encoded) <= MAX_BYTES:
            return CleanCopy(encoded, "image/png", *image.size)
    for quality in QUALITIES:
        encoded = _encoded(image, "JPEG", quality=quality, subsampling=0)
        if len(encoded) <= MAX_BYTES:
            return CleanCopy(encoded, "image/jpeg", *image.size)
    raise TooLarge(f"the image has more than {MAX_BYTES:,} bytes without its metadata")


def _cut_out(image: Image.Image, opaque: NDArray[np.bool_]) -> Image.Image:
    """The picture with an alpha channel that is 255 where opaque and else 0."""
    picture = image.copy()
    picture.putalpha(Image.fromarray(opaque.view(np.uint8) * 255))
    return picture


def _encoded(image: Image.Image, kind: str, **options: int) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()
