"""WebP: chunks of the container and the size of the canvas (RFC 9649).

Frames behind the first are never decoded.
"""

import struct

from models.bounds.limits import (
    MAX_EXIF_BYTES,
    MAX_PROFILE_BYTES,
    check_most,
    check_size,
    damaged,
)

MAX_CHUNKS = 5000
"""Frames of an animation are chunks."""
HEADER_BYTES = 12
LONGEST_HEADER = 30
"""With the one of the first chunk."""
VP8_START = b"\x9d\x01\x2a"
VP8L_START = 0x2F


def check_webp(data: bytes) -> None:
    """Raises:
    Invalid: damaged, or beyond a bound.
    """
    check_size(*_canvas(data[:LONGEST_HEADER].ljust(LONGEST_HEADER, b"\0")))
    place, count = HEADER_BYTES, 0
    sizes = {b"EXIF": 0, b"ICCP": 0}
    while place + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, place)
        place += 8 + size + (size & 1)
        count += 1
        check_most("chunks", count, MAX_CHUNKS)
        if kind in sizes:
            sizes[kind] += size
    check_most("bytes of EXIF", sizes[b"EXIF"], MAX_EXIF_BYTES)
    check_most("bytes of colour profile", sizes[b"ICCP"], MAX_PROFILE_BYTES)


def _canvas(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return _three(data, 24) + 1, _three(data, 27) + 1
    if kind == b"VP8L" and data[20] == VP8L_START:
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and data[23:26] == VP8_START:
        width, height = struct.unpack_from("<HH", data, 26)
        if width & 0x3FFF and height & 0x3FFF:
            return width & 0x3FFF, height & 0x3FFF
    raise damaged()


def _three(data: bytes, place: int) -> int:
    return int.from_bytes(data[place : place + 3], "little")
