"""WebP: bounds the container's chunks, the canvas, and the Huffman tables (RFC 9649).

Frames after the first are never decoded.
"""

import struct
from collections.abc import Iterator

from models.bounds.limits import (
    MAX_EXIF_BYTES,
    MAX_PROFILE_BYTES,
    check_most,
    check_size,
    damaged,
)
from models.bounds.vp8l import MAX_SMALL_PIXELS, check_vp8l

MAX_CHUNKS = 5000
"""Each frame of an animation is a chunk."""
HEADER_BYTES = 12
LONGEST_HEADER = 30
"""The file's header with that of the first chunk."""
FRAME_BYTES = 16
"""The header of an animation's frame, before its own chunks."""
VP8L_HEADER_BYTES = 5
PACKED = 1
"""The alpha plane of a lossy picture is coded as the green channel of a lossless one."""
VP8_START = b"\x9d\x01\x2a"
VP8L_START = 0x2F
Chunk = tuple[bytes, int, int]
"""A chunk's type, the offset of its data, and its size according to its header."""


def check_webp(data: bytes) -> None:
    """Checks the structure and the size of a WebP file without decoding it.

    Raises:
        Invalid: the file is damaged or exceeds a limit.
    """
    width, height = _canvas(data[:LONGEST_HEADER].ljust(LONGEST_HEADER, b"\0"))
    check_size(width, height)
    sizes = {b"EXIF": 0, b"ICCP": 0}
    budget, frames = MAX_SMALL_PIXELS, 0
    for count, (kind, start, size) in enumerate(_chunks(data, HEADER_BYTES, len(data)), 1):
        check_most("chunks", count, MAX_CHUNKS)
        if kind in sizes:
            sizes[kind] += size
        elif kind == b"ANMF":
            frames += 1
            if frames == 1:
                budget = _check_frame(data, start, size, budget)
        else:
            budget = _check_lossless(data, (kind, start, size), (width, height), budget)
    check_most("bytes of EXIF", sizes[b"EXIF"], MAX_EXIF_BYTES)
    check_most("bytes of colour profile", sizes[b"ICCP"], MAX_PROFILE_BYTES)


def _chunks(data: bytes, place: int, end: int) -> Iterator[Chunk]:
    while place + 8 <= end:
        kind, size = struct.unpack_from("<4sI", data, place)
        yield kind, place + 8, size
        place += 8 + size + (size & 1)


def _check_frame(data: bytes, start: int, size: int, budget: int) -> int:
    shape = _three(data, start + 6) + 1, _three(data, start + 9) + 1
    end = min(start + size, len(data))
    for count, part in enumerate(_chunks(data, start + FRAME_BYTES, end), 1):
        check_most("chunks in a frame", count, MAX_CHUNKS)
        budget = _check_lossless(data, part, shape, budget)
    return budget


def _check_lossless(data: bytes, part: Chunk, shape: tuple[int, int], budget: int) -> int:
    """The remaining budget; an alpha plane has the frame's size, a picture its own."""
    kind, start, size = part
    body = data[start : start + size] if kind in {b"VP8L", b"ALPH"} else b""
    if kind == b"VP8L" and len(body) >= VP8L_HEADER_BYTES:
        (bits,) = struct.unpack_from("<I", body, 1)
        shape = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        check_size(*shape)
        return check_vp8l(body[VP8L_HEADER_BYTES:], *shape, budget)
    if kind == b"ALPH" and body and body[0] & 3 == PACKED:
        check_size(*shape)
        return check_vp8l(body[1:], *shape, budget)
    return budget


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
