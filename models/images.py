"""Reads untrusted picture files: their format and size, and their pixels as upright 8-bit RGB."""

import io
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import AvifImagePlugin, Image, ImageCms, UnidentifiedImageError

from errors import Invalid, NotAnImage, TooLarge
from models.bounds.formats import FORMATS as TABLE
from models.bounds.formats import Format, find_format
from models.bounds.limits import MAX_PIXELS, check_size

MAX_BYTES = 15_000_000
PUBLIC_SIDE = 1600
FORMATS = tuple(kind.name for kind in TABLE)
"""Pillow's names. MPO files, which many phones write, are opened as JPEG."""
BAND_PIXELS = 4_000_000
"""Larger pictures are converted in bands, so that there is no second copy of them in memory."""
OPAQUE = 127
"""A pixel is a part of a cut-out where its alpha is above this."""
LEAST_TRANSPARENT, LEAST_OPAQUE = 0.02, 0.005
"""The shares of a picture that is a cut-out; rounded corners, for example, are a smaller share."""
MAX_USED_PROFILE_BYTES = 1_000_000
PROFILE_CLASSES = frozenset({b"mntr", b"scnr", b"prtr", b"spac"})
ORIENTATION_TAG = 0x0112
TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = frozenset({5, 6, 7, 8})

__all__ = [
    "FORMATS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "ImageInfo",
    "decode_cutout",
    "decode_image",
    "decode_measured",
    "inspect_image",
    "measure_image",
    "public_copy",
    "to_srgb",
]


LISTED = "JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP or TIFF"


@cache
def prepare_decoders() -> None:
    """Makes Pillow read HEIC, and both newer formats in the caller's own thread.

    Thumbnails, depth maps and other pictures that lie beside the first one are not read.
    """
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    pillow_heif.register_heif_opener(
        decode_threads=1, thumbnails=False, depth_images=False, aux_images=False
    )


@dataclass(frozen=True)
class ImageInfo:
    """The format, and width and height in pixels after applying EXIF's orientation."""

    width: int
    height: int
    content_type: str


@contextmanager
def _opened(data: bytes) -> Iterator[tuple[Image.Image, Format]]:
    """Opens a picture after checking its bounds; translates Pillow's errors into `StudioError`s."""
    if len(data) > MAX_BYTES:
        raise TooLarge(f"the image has {len(data):,} bytes; at most {MAX_BYTES:,} are allowed")
    kind = find_format(data)
    if kind is None:
        raise NotAnImage(f"the data is not a {LISTED} image")
    kind.check(data)
    try:
        prepare_decoders()
        with Image.open(io.BytesIO(data), formats=(kind.name,)) as image:
            check_size(*image.size)
            yield image, kind
    except UnidentifiedImageError:
        raise NotAnImage(f"the data is not a readable {kind.name} image") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Invalid(f"the image has more than {MAX_PIXELS // 1_000_000} megapixels") from None
    except (
        OSError,
        RuntimeError,
        SyntaxError,
        ValueError,
        EOFError,
        IndexError,
        TypeError,
        struct.error,
    ) as error:
        # Pillow's decoders raise any of these for broken files.
        raise Invalid("the image is damaged and can't be decoded") from error


def inspect_image(data: bytes) -> ImageInfo:
    """Decodes the whole picture once, which detects a truncated file.

    Raises:
        NotAnImage: the format is not supported.
        Invalid: the file is damaged or exceeds one of the limits of `models.bounds`.
        TooLarge: the file has more than 15 MB.

    """
    with _opened(data) as (image, kind):
        image.load()
        return ImageInfo(*_upright_size(image), kind.content_type)


def measure_image(data: bytes) -> tuple[int, int]:
    """(width, height) after applying EXIF's orientation; a PNG is decoded for it.

    Raises:
        NotAnImage, Invalid, TooLarge: as `inspect_image`.

    """
    with _opened(data) as (image, _):
        return _upright_size(image)


def decode_image(data: bytes, *, shortest_side: int | None = None) -> Image.Image:
    """Decodes the first frame: upright, RGB, transparency over white.

    Args:
        data: an encoded picture.
        shortest_side: JPEGs may be decoded at 1/2, 1/4 or 1/8 of their size, as long as the
            shortest side stays at least this many pixels; a large photograph then costs little.

    Raises:
        NotAnImage, Invalid, TooLarge: as `inspect_image`.

    """
    return decode_measured(data, shortest_side=shortest_side)[0]


def decode_measured(
    data: bytes, *, shortest_side: int | None = None
) -> tuple[Image.Image, tuple[int, int]]:
    """Like `decode_image`, with the upright (width, height) of the picture at its full size.

    Raises:
        NotAnImage, Invalid, TooLarge: as `inspect_image`.

    """
    image, size, _ = _decode(data, shortest_side, has_opaque=False)
    return image, size


def decode_cutout(
    data: bytes, *, shortest_side: int | None = None
) -> tuple[Image.Image, tuple[int, int], NDArray[np.bool_] | None]:
    """Like `decode_measured`, with the opaque pixels of a cut-out.

    They are (height, width) bool, True where opaque; None where the picture is no cut-out.

    Raises:
        NotAnImage, Invalid, TooLarge: as `inspect_image`.

    """
    return _decode(data, shortest_side, has_opaque=True)


def _decode(
    data: bytes, shortest_side: int | None, *, has_opaque: bool
) -> tuple[Image.Image, tuple[int, int], NDArray[np.bool_] | None]:
    with _opened(data) as (image, kind):
        width, height = image.size
        if shortest_side is not None and kind.name == "JPEG":
            scale = shortest_side / min(image.size)
            image.draft("RGB", (int(image.width * scale) + 1, int(image.height * scale) + 1))
        image.load()
        orientation = _orientation(image)
        transposition = TRANSPOSITIONS.get(orientation)
        upright = image if transposition is None else image.transpose(transposition)
        size = (height, width) if orientation in SIDEWAYS else (width, height)
        opaque = _opaque_pixels(upright) if has_opaque and _is_transparent(upright) else None
        return _to_rgb(upright), size, opaque


def _opaque_pixels(image: Image.Image) -> NDArray[np.bool_] | None:
    """Whether each pixel is opaque; None if too few are, or too many."""
    opaque = np.empty((image.height, image.width), np.bool_)
    step = max(1, BAND_PIXELS // image.width)
    for top in range(0, image.height, step):
        band = image.crop((0, top, image.width, min(top + step, image.height)))
        opaque[top : top + step] = np.asarray(band.convert("RGBA").getchannel("A")) > OPAQUE
    is_cutout = LEAST_OPAQUE <= opaque.mean() <= 1 - LEAST_TRANSPARENT
    return opaque if is_cutout else None


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation; 1 for TIFF, which Pillow makes upright itself."""
    orientation = 1 if image.format == "TIFF" else image.getexif().get(ORIENTATION_TAG, 1)
    return orientation if isinstance(orientation, int) else 1


def _upright_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    return (height, width) if _orientation(image) in SIDEWAYS else (width, height)


def public_copy(data: bytes) -> bytes:
    """The picture for other users: upright JPEG in sRGB, at most 1,600 px, without metadata.

    Raises:
        NotAnImage, Invalid, TooLarge: as `inspect_image`.
    """
    image = decode_image(data, shortest_side=PUBLIC_SIDE)
    image.thumbnail((PUBLIC_SIDE, PUBLIC_SIDE), Image.Resampling.LANCZOS)
    to_srgb(image)
    image.info.clear()  # Pillow would write some of it again, such as comments
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def to_srgb(image: Image.Image) -> None:
    """Converts the colours in place by the picture's own profile, for a copy without a profile."""
    profile = image.info.get("icc_profile")
    if not profile or not _is_usable(profile):
        return
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        srgb = ImageCms.createProfile("sRGB")
        ImageCms.profileToProfile(image, own, srgb, inPlace=True)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return  # the profile is damaged or not of RGB colours


def _is_usable(profile: bytes) -> bool:
    """Whether a profile is of RGB and has no D2B tags, whose chains may take long to evaluate."""
    if len(profile) < 132 or len(profile) > MAX_USED_PROFILE_BYTES:
        return False
    (count,) = struct.unpack_from(">I", profile, 128)
    tags = {profile[at : at + 3] for at in range(132, min(132 + 12 * count, len(profile)), 12)}
    is_rgb = profile[16:20] == b"RGB " and profile[12:16] in PROFILE_CLASSES
    return is_rgb and not tags & {b"D2B", b"B2D"}


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _from_deep_grey(image)
    transparent = _is_transparent(image)
    convert = _lay_on_white if transparent else _drop_all_but_colour
    is_rgb = image.mode == "RGB" and not transparent  # a copy without a conversion
    at_once = is_rgb or image.width * image.height <= BAND_PIXELS
    rgb = convert(image) if at_once else _in_bands(image, convert)
    rgb.info = {name: value for name, value in image.info.items() if name != "transparency"}
    return rgb


def _is_transparent(image: Image.Image) -> bool:
    return image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info


def _lay_on_white(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, rgba).convert("RGB")


def _drop_all_but_colour(image: Image.Image) -> Image.Image:
    return image.convert("RGB")


def _in_bands(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Converts a picture band by band, which needs less memory."""
    width, height = image.size
    rgb = Image.new("RGB", image.size)
    step = max(1, BAND_PIXELS // width)
    for top in range(0, height, step):
        bottom = min(top + step, height)
        rgb.paste(convert(image.crop((0, top, width, bottom))), (0, top))
    return rgb


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """Scales 16- and 32-bit grey to 8 bits; Pillow's own conversion would clip it to white."""
    deep = np.asarray(image)
    most = float(np.nanmax(deep)) if deep.size else 0.0
    scale = 1.0
    if image.mode == "F" and most <= 1.0:
        scale = 255.0
    elif most > 255.0:
        scale = 255.0 / max(most, 65535.0)
    grey = np.empty(deep.shape, np.uint8)
    step = max(1, BAND_PIXELS // max(1, image.width))
    for top in range(0, len(deep), step):
        band = np.nan_to_num(deep[top : top + step].astype(np.float64) * scale)
        grey[top : top + step] = np.clip(np.rint(band), 0, 255)
    return Image.fromarray(grey).convert("RGB")
