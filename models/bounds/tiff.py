"""TIFF: the first page's tags, strips and tiles (TIFF 6.0), and how its pixels are packed.

Pillow creates an object for each strip and each number in a tag; libtiff sorts all tags again for
each unknown one. JPEG within TIFF is refused, because its scans would have to be counted strip by
strip; so are fax codes and others that are not used for photographs.
"""

import struct
from dataclasses import dataclass, field

from errors import Invalid
from models.bounds.limits import (
    MAX_DECODED_BYTES,
    MAX_PROFILE_BYTES,
    check_most,
    check_size,
    damaged,
)

MAX_TAGS = 512
MAX_NUMBERS = 100_000
"""The numbers in all tags; bytes and characters are not counted."""
MAX_STRIPS = 32_768
"""This is more than the number of rows of the tallest picture of 40 megapixels."""
TILE_SLACK = 1 << 20
"""The tiles may have twice the picture's pixels, and this many more."""

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
STRIP_OFFSETS, SAMPLES, ROWS, STRIP_BYTES, PLANES = 273, 277, 278, 279, 284
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES = 322, 323, 324, 325
PROFILE = 34675
DIRECTORIES = (34665, 34853, 40965)
"""EXIF, GPS and interoperability: Pillow reads them too."""
UNCOMPRESSED = 1
COMPRESSIONS = frozenset({UNCOMPRESSED, 5, 8, 32946, 32773})
"""The accepted compressions: none, LZW, Deflate (two numbers) and PackBits."""
PHOTOMETRICS = frozenset({0, 1, 2, 3, 5})
"""The accepted colour spaces: grey, RGB, palette and CMYK."""
SEPARATE = 2
BYTES, SHORT, LONG, IFD = frozenset({1, 2, 6, 7}), 3, 4, 13
UNITS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""The size of each tag type in bytes; Pillow skips other types."""


@dataclass(frozen=True)
class Tags:
    """A directory's tags: number -> (type, count, place of the value)."""

    data: bytes
    order: str
    entries: dict[int, tuple[int, int, int]] = field(default_factory=dict)

    def numbers(self, tag: int, default: int | None = None) -> tuple[int, ...]:
        """The SHORTs or LONGs of a tag.

        Raises:
            Invalid: the tag is absent and has no default, or is of another type.
        """
        if tag not in self.entries:
            if default is None:
                raise damaged()
            return (default,)
        kind, count, place = self.entries[tag]
        if kind not in {SHORT, LONG, IFD} or not count:
            raise damaged()
        layout = f"{self.order}{count}{'H' if kind == SHORT else 'I'}"
        if place + struct.calcsize(layout) > len(self.data):
            raise damaged()
        return struct.unpack_from(layout, self.data, place)

    def number(self, tag: int, default: int | None = None) -> int:
        """The first number of a tag. Raises as `numbers`."""
        return self.numbers(tag, default)[0]


def check_tiff(data: bytes) -> None:
    """Checks the structure and the size of a TIFF file without decoding it.

    Raises:
        Invalid: the file is damaged or exceeds a limit.
    """
    if len(data) < 8:
        raise damaged()
    order = "<" if data[:1] == b"I" else ">"
    tags = _read_directory(data, order, struct.unpack_from(f"{order}I", data, 4)[0])
    for directory in DIRECTORIES:
        if directory in tags.entries:
            _read_directory(data, order, tags.number(directory))
    width, height = tags.number(WIDTH), tags.number(HEIGHT)
    if not width or not height:
        raise damaged()
    check_size(width, height)
    if PROFILE in tags.entries:
        check_most("bytes of colour profile", tags.entries[PROFILE][1], MAX_PROFILE_BYTES)
    _check_coding(tags)
    _check_pieces(tags, width, height)


def _read_directory(data: bytes, order: str, place: int) -> Tags:
    if place + 2 > len(data):
        raise damaged()
    (count,) = struct.unpack_from(f"{order}H", data, place)
    check_most("tags", count, MAX_TAGS)
    if place + 2 + 12 * count > len(data):
        raise damaged()
    tags, numbers = Tags(data, order), 0
    for start in range(place + 2, place + 2 + 12 * count, 12):
        tag, kind, values, offset = struct.unpack_from(f"{order}HHII", data, start)
        if tag in tags.entries:
            raise Invalid("the image has a tag twice in one directory")
        near = values * UNITS.get(kind, 0) <= 4
        tags.entries[tag] = (kind, values, start + 8 if near else offset)
        numbers += values if kind in UNITS and kind not in BYTES else 0
    check_most("numbers in its tags", numbers, MAX_NUMBERS)
    return tags


def _check_coding(tags: Tags) -> None:
    if tags.number(COMPRESSION, UNCOMPRESSED) not in COMPRESSIONS:
        raise Invalid(
            "TIFF images must be uncompressed, or packed by LZW, Deflate or PackBits; "
            "save it as JPEG or PNG instead"
        )
    if tags.number(PHOTOMETRIC, 0) not in PHOTOMETRICS:
        raise Invalid("TIFF images must be grey, RGB, CMYK or have a palette")


def _check_pieces(tags: Tags, width: int, height: int) -> None:
    """Bounds the strips or tiles and their decoded size; no two of them may share bytes."""
    samples = tags.number(SAMPLES, 1)
    size = width * height * samples * max(tags.numbers(BITS, 1)) // 8
    check_most("bytes when decoded", size, MAX_DECODED_BYTES)
    planes = samples if tags.number(PLANES, 1) == SEPARATE else 1
    tiled = TILE_OFFSETS in tags.entries or TILE_WIDTH in tags.entries
    if tiled and STRIP_OFFSETS in tags.entries:
        raise Invalid("the image has both strips and tiles")
    if tiled:
        across, down = tags.number(TILE_WIDTH), tags.number(TILE_HEIGHT)
    else:
        across, down = width, min(tags.number(ROWS, height), height)
    if not across or not down:
        raise damaged()
    count = -(-width // across) * -(-height // down) * planes
    offsets = tags.numbers(TILE_OFFSETS if tiled else STRIP_OFFSETS)
    check_most("strips or tiles", max(count, len(offsets)), MAX_STRIPS)
    most = 2 * width * height * planes + TILE_SLACK
    check_most("pixels in its strips or tiles", count * across * down, most)
    if tags.number(COMPRESSION, UNCOMPRESSED) != UNCOMPRESSED:
        packed = sum(tags.numbers(TILE_BYTES if tiled else STRIP_BYTES))
        check_most("bytes in its strips or tiles", packed, len(tags.data))
