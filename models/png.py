"""Writes pictures as PNG several times faster than Pillow, at about the same size.

Pillow tries five filters on every row. This module always stores the difference to the row above,
the best single filter on photographs and on masks. Intel's ISA-L compresses the rows. Large
pictures are compressed in parallel bands, each of which ends on a byte boundary and does not refer
to earlier bands, as in pigz.
"""

import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
UP = 2
GREY, COLOUR = 0, 2
PACKING = 1
"""ISA-L's level; other levels change size and time by a few percent."""
ZLIB_HEAD = b"\x78\x01"
RAW = -15
"""ISA-L's `wbits` for deflate without a header, with the largest window."""
BAND_BYTES = 1_000_000
THREADS = 2


def encode_png(pixels: NDArray[np.uint8], icc_profile: bytes | None = None) -> bytes:
    """Encodes (h, w) grey or (h, w, 3) RGB uint8, with the colour profile where there is one."""
    height, width = pixels.shape[:2]
    kind = GREY if pixels.ndim == 2 else COLOUR
    head = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    parts = [SIGNATURE, _chunk(b"IHDR", head)]
    if icc_profile:
        parts.append(_chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc_profile)))
    rows = np.ascontiguousarray(pixels).reshape(height, -1)
    parts += [_chunk(b"IDAT", _compress(rows)), _chunk(b"IEND", b"")]
    return b"".join(parts)


def _compress(rows: NDArray[np.uint8]) -> bytes:
    """Filters rows (h, bytes) and compresses them into one zlib stream."""
    height, length = rows.shape
    filtered = np.empty((height, length + 1), np.uint8)
    step = max(1, BAND_BYTES // length)

    def pack(top: int) -> bytes:
        band, end = filtered[top : top + step], min(top + step, height)
        band[:, 0] = UP
        if top == 0:
            band[0, 1:] = rows[0]
        first = max(top, 1)  # uint8 wraps modulo 256, as PNG specifies
        np.subtract(rows[first:end], rows[first - 1 : end - 1], out=filtered[first:end, 1:])
        packer = isal_zlib.compressobj(PACKING, wbits=RAW)
        last = isal_zlib.Z_FINISH if end == height else isal_zlib.Z_FULL_FLUSH
        return b"".join((packer.compress(band), packer.flush(last)))

    tops = range(0, height, step)
    if len(tops) == 1:
        bands = [pack(0)]
    else:
        with ThreadPoolExecutor(THREADS, thread_name_prefix="png") as pool:
            bands = list(pool.map(pack, tops))
    return b"".join((ZLIB_HEAD, *bands, struct.pack(">I", isal_zlib.adler32(filtered))))


def _chunk(name: bytes, data: bytes) -> bytes:
    checksum = isal_zlib.crc32(data, isal_zlib.crc32(name))
    return b"".join((struct.pack(">I", len(data)), name, data, struct.pack(">I", checksum)))
