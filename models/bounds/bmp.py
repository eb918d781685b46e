"""BMP: only uncompressed files; Pillow decodes run lengths in Python, byte by byte."""

import struct

from errors import Invalid
from models.bounds.limits import check_size, damaged

CORE_HEADER = 12
UNCOMPRESSED, BIT_FIELDS = 0, 3
TOP_DOWN = 0xFF
"""The highest byte of a negative height, which means that the first row is the top one."""


def check_bmp(data: bytes) -> None:
    """Checks the structure and the size of a BMP file without decoding it.

    Raises:
        Invalid: the file is damaged or exceeds a limit.
    """
    if len(data) < 34:
        raise damaged()
    (size,) = struct.unpack_from("<I", data, 14)
    if size == CORE_HEADER:
        width, height = struct.unpack_from("<HH", data, 18)
        compression = UNCOMPRESSED
    else:
        width, height, _, _, compression = struct.unpack_from("<IIHHI", data, 18)
        height = 2**32 - height if data[25] == TOP_DOWN else height
    if compression not in {UNCOMPRESSED, BIT_FIELDS}:
        raise Invalid("BMP images must be uncompressed; save it as PNG instead")
    check_size(width, height)
