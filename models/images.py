"""Reads untrusted picture files: what they are, and their pixels as upright 8-bit RGB."""

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from errors import Invalid, NotAnImage, TooLarge

MAX_BYTES = 15_000_000
MAX_PIXELS = 40_000_000
PUBLIC_SIDE = 1600
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""Pillow opens MPO, what many phones write, as JPEG."""
CONTENT_TYPES = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
}


@dataclass(frozen=True)
class ImageInfo:
    """Width and height in pixels as a viewer shows them (EXIF turn applied)."""

    width: int
    height: int
    content_type: str


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    """The picture with its header read and its size checked; Pillow's failures become ours."""
    if len(data) > MAX_BYTES:
        raise TooLarge(f"the image has {len(data):,} bytes; at most {MAX_BYTES:,} are taken")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise Invalid(
                    f"the image has {width} x {height} pixels; "
                    f"at most {MAX_PIXELS // 1_000_000} megapixels are taken"
                )
            yield image
    except UnidentifiedImageError:
        raise NotAnImage("the data is no JPEG, PNG, WebP, GIF, BMP or TIFF image") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Invalid(f"the image has more than {MAX_PIXELS // 1_000_000} megapixels") from None
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        IndexError,
        TypeError,
        struct.error,
    ) as error:
        # Pillow's decoders answer broken files with any of these.
        raise Invalid("the image is damaged and can't be decoded") from error


def inspect_image(data: bytes) -> ImageInfo:
    """Decodes the whole picture once, so that a truncated file is found out here.

    Raises:
        NotAnImage: no supported format.
        Invalid: damaged, or more than 40 megapixels.
        TooLarge: more than 15 MB.

    """
    with _opened(data) as image:
        content_type = CONTENT_TYPES[image.format or "JPEG"]
        turned = image.getexif().get(0x0112, 1) in {5, 6, 7, 8}
        image.load()
        width, height = image.size
    return ImageInfo(*((height, width) if turned else (width, height)), content_type)


def measure_image(data: bytes) -> tuple[int, int]:
    """(width, height) as a viewer shows the picture, by its header alone.

    Raises:
        NotAnImage, Invalid, TooLarge: as `inspect_image`.

    """
    with _opened(data) as image:
        turned = image.getexif().get(0x0112, 1) in {5, 6, 7, 8}
        width, height = image.size
    return (height, width) if turned else (width, height)


def decode_image(data: bytes, *, shortest_side: int | None = None) -> Image.Image:
    """The first frame, upright, RGB, transparency over white.

    Args:
        data: an encoded picture.
        shortest_side: JPEGs may be decoded at 1/2, 1/4 or 1/8 of their size, as long as the
            shortest side stays at least this many pixels; a large photograph then costs little.

    Raises:
        NotAnImage, Invalid, TooLarge: as `inspect_image`.

    """
    with _opened(data) as image:
        if shortest_side is not None and image.format in {"JPEG", "MPO"}:
            scale = shortest_side / min(image.size)
            image.draft("RGB", (int(image.width * scale) + 1, int(image.height * scale) + 1))
        image.load()
        return _to_rgb(ImageOps.exif_transpose(image))


def public_copy(data: bytes) -> bytes:
    """The picture as others may see it: upright JPEG in sRGB, at most 1,600 px, only pixels.

    Raises:
        NotAnImage, Invalid, TooLarge: as `inspect_image`.
    """
    image = decode_image(data, shortest_side=PUBLIC_SIDE)
    image.thumbnail((PUBLIC_SIDE, PUBLIC_SIDE), Image.Resampling.LANCZOS)
    image = _to_srgb(image)
    image.info.clear()  # Pillow would write some of it again: comments, for one
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _to_srgb(image: Image.Image) -> Image.Image:
    """The colours that the picture's own profile means, for viewers who are told of none."""
    profile = image.info.get("icc_profile")
    if not profile:
        return image
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, own, srgb, outputMode="RGB") or image
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image  # damaged, or of another kind of colours than RGB


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _from_deep_grey(image)
    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """16- and 32-bit grey: Pillow's own conversion would clip it to white."""
    grey = np.asarray(image).astype(np.float64)
    if image.mode == "F" and grey.size and grey.max() <= 1.0:
        grey = grey * 255.0
    elif grey.size and grey.max() > 255.0:
        grey = grey / (65535.0 if grey.max() <= 65535.0 else grey.max()) * 255.0
    return Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8)).convert("RGB")
