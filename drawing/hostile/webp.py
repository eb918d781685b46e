"""WebP files that are expensive to decode; `drawing/hostile/pictures.py` has other formats."""

import struct


def webp_chunk(kind: bytes, data: bytes) -> bytes:
    """A RIFF chunk, padded to an even length."""
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def webp(*chunks: bytes) -> bytes:
    """A WebP file of these chunks."""
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_frame_flood(width: int, height: int, count: int, frame: bytes) -> bytes:
    """An animated WebP of many frames; frame: the VP8L or VP8 chunk of each."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    head = webp_chunk(b"VP8X", b"\x02\0\0\0" + size)
    one = webp_chunk(b"ANMF", bytes(6) + size + b"\x0a\0\0\0" + frame)
    return webp(head, webp_chunk(b"ANIM", bytes(6)), one * count)


def vp8l_flat(width: int, height: int) -> bytes:
    """A lossless WebP chunk of one colour, without transforms, tiles or pixels of its own."""
    bits = _Bits()
    bits.put(0x2F, 8)
    bits.put(width - 1, 14)
    bits.put(height - 1, 14)
    bits.put(0, 4 + 3)  # no alpha, version 0; no transform, colour cache or tiles
    for _ in range(5):
        _single_table(bits)
    return webp_chunk(b"VP8L", bits.done())


def alpha_tables(width: int, height: int, groups: int) -> bytes:
    """A lossy picture that consists of a header only, with the tables in its alpha plane."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    head = webp_chunk(b"VP8X", b"\x10\0\0\0" + size)
    stream = vp8l_tables(width, height, groups)[13:]
    lossy = b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height)
    return webp(head, webp_chunk(b"ALPH", b"\x01" + stream), webp_chunk(b"VP8 ", lossy))


class _Bits:
    """Bits of VP8L, least significant first."""

    def __init__(self) -> None:
        self._value = 0
        self._count = 0
        self._bytes = bytearray()

    def put(self, value: int, count: int) -> None:
        self._value |= value << self._count
        self._count += count
        while self._count >= 8:
            self._bytes.append(self._value & 0xFF)
            self._value >>= 8
            self._count -= 8

    def done(self) -> bytes:
        return bytes(self._bytes) + bytes((self._value & 0xFF, 0, 0, 0, 0, 0, 0, 0))


def vp8l_tables(width: int, height: int, groups: int = 1 << 16) -> bytes:
    """A lossless WebP chunk with `groups` groups of five Huffman tables each.

    Tiles of 4 x 4 pixels choose their group; every group has to be built before the first pixel.
    """
    bits = _Bits()
    bits.put(0x2F, 8)
    bits.put(width - 1, 14)
    bits.put(height - 1, 14)
    bits.put(0, 4)  # no alpha, version 0
    bits.put(0, 1)  # no transform
    bits.put(0, 1)  # no colour cache
    bits.put(1, 1)  # tiles choose their tables
    bits.put(0, 3)  # tiles of 4 x 4
    bits.put(0, 1)  # no colour cache in the picture of tiles
    _even_table(bits, 280)  # green: the low byte of a tile's group
    _even_table(bits, 256)  # red: the high byte
    for _ in range(3):
        _single_table(bits)
    for tile in range(-(-width // 4) * -(-height // 4)):
        group = tile % groups
        bits.put(_reversed(group & 0xFF), 8)
        bits.put(_reversed(group >> 8), 8)
    for _ in range(5 * groups):
        _single_table(bits)
    return webp_chunk(b"VP8L", bits.done())


def _single_table(bits: _Bits) -> None:
    """A table with the single symbol 0."""
    bits.put(0b0001, 4)


def _even_table(bits: _Bits, symbols: int) -> None:
    """A table of 256 codes of 8 bits, in the order of the symbols; higher symbols have no code."""
    bits.put(0, 1)
    bits.put(12 - 4, 4)  # lengths of code lengths, in the format's own order: 17 18 0 1 ... 8
    for place in range(12):
        bits.put(1 if place in {2, 11} else 0, 3)  # 0 and 8 have one bit each
    bits.put(0, 1)  # lengths of all symbols follow
    for symbol in range(symbols):
        bits.put(1 if symbol < 256 else 0, 1)


def _reversed(value: int) -> int:
    return int(f"{value:08b}"[::-1], 2)
