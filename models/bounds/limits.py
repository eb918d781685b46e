"""Limits that all formats share; `benchmarks/files/picture_bounds.py` measures their cost."""

from errors import Invalid

MAX_PIXELS = 40_000_000
MAX_ASPECT = 20
"""Longer side divided by shorter side; it bounds models that resize by the shorter side."""
MAX_DECODED_BYTES = 256_000_000
"""A decoder's memory beside Pillow's picture; 40 megapixels of 16-bit RGB take 240 MB."""
MAX_EXIF_BYTES = 1_000_000
MAX_PROFILE_BYTES = 4_000_000


def check_size(width: int, height: int) -> None:
    """Checks the width and the height of a picture.

    Raises:
        Invalid: there are too many pixels, or one side is much longer than the other.
    """
    if width * height > MAX_PIXELS:
        raise Invalid(
            f"the image has {width} x {height} pixels; "
            f"at most {MAX_PIXELS // 1_000_000} megapixels are allowed"
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise Invalid(
            f"the image has {width} x {height} pixels; "
            f"its longer side may be at most {MAX_ASPECT} times its shorter side"
        )


def check_most(what: str, count: int, most: int) -> None:
    """Checks a number of parts of a file; `what` is their plural noun, for the message.

    Raises:
        Invalid: `count` is more than `most`.
    """
    if count > most:
        raise Invalid(f"the image has {count:,} {what}; at most {most:,} are allowed")


def damaged() -> Invalid:
    """The error of a file that contradicts its format."""
    return Invalid("the image is damaged and can't be decoded")
