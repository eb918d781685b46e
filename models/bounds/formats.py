"""The table of supported formats: the first bytes of their files, and the checks of their cost."""

from collections.abc import Callable
from dataclasses import dataclass

from models.bounds.bmp import check_bmp
from models.bounds.gif import check_gif
from models.bounds.heif import check_heif
from models.bounds.jpeg import check_jpeg
from models.bounds.png import check_png
from models.bounds.tiff import check_tiff
from models.bounds.webp import check_webp


@dataclass(frozen=True)
class Format:
    """A supported format.

    Attributes:
        name: Pillow's name of the format.
        content_type: its media type.
        starts: the bytes that its files begin with; a `?` stands for any byte.
        check: raises `Invalid` where decoding a file could cost too much.
    """

    name: str
    content_type: str
    starts: tuple[bytes, ...]
    check: Callable[[bytes], None]

    def begins(self, data: bytes) -> bool:
        """Whether the file is of this format, by its first bytes."""
        return any(_matches(data, start) for start in self.starts)


AVIF_STARTS = tuple(b"????ftypmif1" + b"????" * count + b"avif" for count in range(1, 5))
"""A file of the general brand `mif1` is AVIF if that is one of its first compatible brands."""
FORMATS = (
    Format("JPEG", "image/jpeg", (b"\xff\xd8\xff",), check_jpeg),
    Format("PNG", "image/png", (b"\x89PNG\r\n\x1a\n",), check_png),
    Format("WEBP", "image/webp", (b"RIFF????WEBP",), check_webp),
    Format("AVIF", "image/avif", (b"????ftypavif", *AVIF_STARTS), check_heif),
    Format("HEIF", "image/heic", (b"????ftypheic", b"????ftypheix", b"????ftypmif1"), check_heif),
    Format("GIF", "image/gif", (b"GIF87a", b"GIF89a"), check_gif),
    Format("BMP", "image/bmp", (b"BM",), check_bmp),
    Format("TIFF", "image/tiff", (b"II*\0", b"MM\0*"), check_tiff),
)


def find_format(data: bytes) -> Format | None:
    """The format of a file, by its first bytes."""
    return next((kind for kind in FORMATS if kind.begins(data)), None)


def _matches(data: bytes, start: bytes) -> bool:
    if len(data) < len(start):
        return False
    return all(expected in {b"?"[0], byte} for expected, byte in zip(start, data, strict=False))
