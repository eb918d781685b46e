"""GIF: blocks before the first picture (GIF89a specification); later blocks are never read.

Pillow reads comments and extensions in Python, a sub-block of at most 255 bytes at a time.
"""

import struct

from models.bounds.limits import check_most, check_size, damaged

MAX_BLOCKS = 20_000
"""This number of sub-blocks of the usual size has about 5 MB."""
HEADER_BYTES = 13
EXTENSION, PICTURE, TRAILER = 0x21, 0x2C, 0x3B
COMMENT, APPLICATION = 0xFE, 0xFF
LOOP = b"NETSCAPE2.0"


def check_gif(data: bytes) -> None:
    """Checks the structure and the size of a GIF file without decoding it.

    Raises:
        Invalid: the file is damaged or exceeds a limit.
    """
    if len(data) < HEADER_BYTES:
        raise damaged()
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    check_size(width, height)
    place = HEADER_BYTES + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    place = _skip_extensions(data, place)
    if place + 9 > len(data):
        raise damaged()
    left, top, across, down = struct.unpack_from("<HHHH", data, place)
    check_size(max(width, left + across), max(height, top + down))  # Pillow widens the canvas


def _skip_extensions(data: bytes, place: int) -> int:
    """The offset after the first picture's introducer."""
    blocks = 0
    while place < len(data):
        kind = data[place]
        place += 1
        blocks += 1
        if kind == PICTURE:
            return place
        if kind == TRAILER:
            break
        if kind == EXTENSION:
            start = place
            place += 1  # its label
            while place < len(data) and data[place]:
                place += 1 + data[place]
                blocks += 1
                if blocks > MAX_BLOCKS:
                    break
            _check_extension(data[start:place])
            place += 1
        check_most("blocks in front of its first picture", blocks, MAX_BLOCKS)
    raise damaged()


def _check_extension(data: bytes) -> None:
    """Refuses an extension without blocks, or a loop without a count.

    Pillow would continue to read after such an extension.
    """
    blocks = data[1:]
    loop = blocks[1:].startswith(LOOP) and data[0] == APPLICATION
    if data[0] != COMMENT and (not blocks or (loop and len(blocks) == 1 + blocks[0])):
        raise damaged()
