"""Writes pictures as PNG: lossless as any, several times faster than Pillow, about as small.

Pillow tries five filters on every line; here a line is always its difference to the one above,
the best single filter on photographs and on masks, and Intel's ISA-L packs it.
"""

import struct
import zlib

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
UP = 2
GREY, COLOUR = 0, 2
PACKING = 1
"""ISA-L's level; the others save or cost a few hundredths."""


def encode_png(pixels: NDArray[np.uint8], icc_profile: bytes | None = None) -> bytes:
    """(h, w) grey or (h, w, 3) RGB, 0 to 255; the profile says what its colours mean."""
    height, width = pixels.shape[:2]
    kind = GREY if pixels.ndim == 2 else COLOUR
    head = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    lines = np.ascontiguousarray(pixels).reshape(height, -1)
    filtered = np.empty((height, lines.shape[1] + 1), np.uint8)
    filtered[:, 0] = UP
    filtered[0, 1:] = lines[0]
    np.subtract(lines[1:], lines[:-1], out=filtered[1:, 1:])  # modulo 256, as the format wants it
    parts = [SIGNATURE, _chunk(b"IHDR", head)]
    if icc_profile:
        parts.append(_chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc_profile)))
    parts += [_chunk(b"IDAT", isal_zlib.compress(filtered, PACKING)), _chunk(b"IEND", b"")]
    return b"".join(parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    checksum = isal_zlib.crc32(data, isal_zlib.crc32(name))
    return b"".join((struct.pack(">I", len(data)), name, data, struct.pack(">I", checksum)))
