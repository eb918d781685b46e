"""PNG: counts chunks, texts and profiles by walking the chunks (PNG specification, clause 5).

Pillow handles each chunk in Python, and decompresses up to a megabyte of each text and profile.
"""

import struct

from errors import Invalid
from models.bounds.limits import (
    MAX_DECODED_BYTES,
    MAX_EXIF_BYTES,
    MAX_PROFILE_BYTES,
    check_most,
    check_size,
    damaged,
)

MAX_DATA_CHUNKS = 20_000
"""libpng writes chunks of 8 KB; 15 MB are 1,800 of them."""
MAX_OTHER_CHUNKS = 1000
MAX_PACKED_TEXTS = 64
MAX_OTHER_BYTES = 8_000_000
SIGNATURE_BYTES = 8
DATA = frozenset({b"IDAT", b"fdAT", b"DDAT"})
FRAME = b"fcTL"
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""The samples of a pixel, by colour type."""


def check_png(data: bytes) -> None:
    """Checks the structure and the size of a PNG file without decoding it.

    Raises:
        Invalid: the file is damaged or exceeds a limit.
    """
    if len(data) < 33 or data[8:16] != b"\0\0\0\x0dIHDR":
        raise damaged()
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    check_size(width, height)
    size = width * height * SAMPLES.get(colour, 4) * depth // 8
    if size > MAX_DECODED_BYTES:
        raise Invalid(
            f"the image has {size:,} bytes when decoded; at most {MAX_DECODED_BYTES:,} are allowed"
        )
    _check_chunks(data)


def _check_chunks(data: bytes) -> None:
    place = SIGNATURE_BYTES
    sizes: dict[bytes, list[int]] = {}
    data_chunks = other_chunks = 0
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        place += 12 + length
        if kind == b"IEND":
            break
        if kind in DATA or kind == FRAME:
            data_chunks += 1
            if data_chunks > MAX_DATA_CHUNKS:
                check_most("chunks of data", data_chunks, MAX_DATA_CHUNKS)
            continue
        other_chunks += 1
        check_most("chunks other than image data", other_chunks, MAX_OTHER_CHUNKS)
        sizes.setdefault(kind, []).append(length)
    _check_sizes(sizes)


def _check_sizes(sizes: dict[bytes, list[int]]) -> None:
    packed = len(sizes.get(b"zTXt", ())) + len(sizes.get(b"iTXt", ()))
    check_most("packed texts", packed, MAX_PACKED_TEXTS)
    check_most("colour profiles", len(sizes.get(b"iCCP", ())), 1)
    check_most("bytes of colour profile", sum(sizes.get(b"iCCP", ())), MAX_PROFILE_BYTES)
    check_most("bytes of EXIF", sum(sizes.get(b"eXIf", ())), MAX_EXIF_BYTES)
    check_most("bytes of metadata", sum(map(sum, sizes.values())), MAX_OTHER_BYTES)
