"""Lossless WebP: counts the groups of Huffman tables in a picture (RFC 9649, section 3).

libwebp builds all groups of tables before the first pixel: a file of 300 KB may have 65,536 groups
of 5 KB to 20 KB each. Their number is the largest value in a small picture whose pixels select the
group of each tile. This module decodes that small picture and those of the transforms before it,
but not the pixels of the main picture.
"""

from errors import Invalid
from models.bounds.limits import check_most, damaged

MAX_GROUPS = 4096
"""libwebp's encoder writes at most 2,600."""
MAX_SMALL_PIXELS = 400_000
"""The pixels of all small pictures; libwebp's encoder writes 320,000 for 40 megapixels."""

PREDICTOR, COLOUR, GREEN, PALETTE = range(4)
LENGTH_ORDER = (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
LITERALS, LENGTHS, DISTANCES = 256, 24, 40
MAX_CACHE_BITS = 11
HASH = 0x1E35A7BD
NEAR = (
    0x18, 0x07, 0x17, 0x19, 0x28, 0x06, 0x27, 0x29, 0x16, 0x1A, 0x26, 0x2A, 0x38, 0x05, 0x37, 0x39,
    0x15, 0x1B, 0x36, 0x3A, 0x25, 0x2B, 0x48, 0x04, 0x47, 0x49, 0x14, 0x1C, 0x35, 0x3B, 0x46, 0x4A,
    0x24, 0x2C, 0x58, 0x45, 0x4B, 0x34, 0x3C, 0x03, 0x57, 0x59, 0x13, 0x1D, 0x56, 0x5A, 0x23, 0x2D,
    0x44, 0x4C, 0x55, 0x5B, 0x33, 0x3D, 0x68, 0x02, 0x67, 0x69, 0x12, 0x1E, 0x66, 0x6A, 0x22, 0x2E,
    0x54, 0x5C, 0x43, 0x4D, 0x65, 0x6B, 0x32, 0x3E, 0x78, 0x01, 0x77, 0x79, 0x53, 0x5D, 0x11, 0x1F,
    0x64, 0x6C, 0x42, 0x4E, 0x76, 0x7A, 0x21, 0x2F, 0x75, 0x7B, 0x31, 0x3F, 0x63, 0x6D, 0x52, 0x5E,
    0x00, 0x74, 0x7C, 0x41, 0x4F, 0x10, 0x20, 0x62, 0x6E, 0x30, 0x73, 0x7D, 0x51, 0x5F, 0x40, 0x72,
    0x7E, 0x61, 0x6F, 0x50, 0x71, 0x7F, 0x60, 0x70,
)  # fmt: skip
"""Distances 1 to 120 as libwebp codes them: rows above, and 8 minus the columns to the left."""

Table = tuple[list[tuple[int, int]], int]
"""(length, symbol) for each value of the next bits, and the mask of those bits."""


class Bits:
    """Reads bits from bytes, the least significant bit first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0
        self._value = 0
        self._count = 0

    def read(self, count: int) -> int:
        """Reads `count` bits as a number.

        Raises:
            Invalid: the data ends too early.
        """
        if self._count < count:
            self._fill()
            if self._count < count:
                raise damaged()
        value = self._value & (1 << count) - 1
        self._value >>= count
        self._count -= count
        return value

    def read_symbol(self, table: Table) -> int:
        """Reads the next symbol by a Huffman table. Raises as `read`."""
        entries, mask = table
        if self._count < 15:
            self._fill()
        length, symbol = entries[self._value & mask]
        if length > self._count:
            raise damaged()
        self._value >>= length
        self._count -= length
        return symbol

    def _fill(self) -> None:
        part = self._data[self._place : self._place + 8]
        self._value |= int.from_bytes(part, "little") << self._count
        self._place += len(part)
        self._count += 8 * len(part)


def check_vp8l(data: bytes, width: int, height: int, budget: int = MAX_SMALL_PIXELS) -> int:
    """Checks a stream without its size; returns the remaining budget of small pixels.

    Raises:
        Invalid: there are too many groups of tables, or the stream is damaged.
    """
    reader = _Reader(Bits(data), budget)
    reader.check_groups(width, height)
    return reader.budget


class _Reader:
    def __init__(self, bits: Bits, budget: int) -> None:
        self._bits = bits
        self.budget = budget

    def check_groups(self, width: int, height: int) -> None:
        width = self._skip_transforms(width, height)
        self._read_cache_bits()
        if not self._bits.read(1):
            return
        tile = self._bits.read(3) + 2
        tiles = self._read_small(_divided(width, tile), _divided(height, tile))
        groups = 1 + max(pixel >> 8 & 0xFFFF for pixel in tiles)
        check_most("groups of Huffman tables", groups, MAX_GROUPS)

    def _skip_transforms(self, width: int, height: int) -> int:
        """The picture's width after the transforms, each of which may occur once."""
        read = self._bits.read
        done: set[int] = set()
        while read(1):
            kind = read(2)
            if kind in done:
                raise damaged()
            done.add(kind)
            if kind in {PREDICTOR, COLOUR}:
                tile = read(3) + 2
                self._read_small(_divided(width, tile), _divided(height, tile))
            elif kind == PALETTE:
                colours = read(8) + 1
                self._read_small(colours, 1)
                packed = 3 if colours <= 2 else 2 if colours <= 4 else 1 if colours <= 16 else 0
                width = _divided(width, packed)
        return width

    def _read_cache_bits(self) -> int:
        count = self._bits.read(4) if self._bits.read(1) else 0
        if count > MAX_CACHE_BITS:
            raise damaged()
        return count

    def _read_small(self, width: int, height: int) -> list[int]:
        """Decodes the ARGB pixels of a picture with one group of tables."""
        self.budget -= width * height
        if self.budget < 0:
            raise Invalid(
                f"the image has more than {MAX_SMALL_PIXELS:,} pixels that only control decoding"
            )
        cache_bits = self._read_cache_bits()
        cached = (1 << cache_bits) if cache_bits else 0
        sizes = (LITERALS + LENGTHS + cached, LITERALS, LITERALS, LITERALS, DISTANCES)
        tables = [self._read_table(size) for size in sizes]
        return self._read_pixels(width, width * height, tables, cache_bits)

    def _read_pixels(
        self, width: int, count: int, tables: list[Table], cache_bits: int
    ) -> list[int]:
        symbol_of = self._bits.read_symbol
        green, red, blue, alpha, distances = tables
        pixels: list[int] = []
        cache = [0] * (1 << cache_bits)
        hashed = 0
        while len(pixels) < count:
            symbol = symbol_of(green)
            if symbol < LITERALS:
                pixel = symbol_of(red) << 16 | symbol << 8 | symbol_of(blue)
                pixels.append(pixel | symbol_of(alpha) << 24)
            elif symbol < LITERALS + LENGTHS:
                length = self._read_number(symbol - LITERALS)
                back = _distance(self._read_number(symbol_of(distances)), width)
                if back > len(pixels) or length > count - len(pixels):
                    raise damaged()
                for _ in range(length):
                    pixels.append(pixels[-back])
            else:
                if hashed < len(pixels):
                    _remember(pixels[hashed:], cache, cache_bits)
                    hashed = len(pixels)
                pixels.append(cache[symbol - LITERALS - LENGTHS])
        return pixels

    def _read_number(self, prefix: int) -> int:
        """Reads a length or distance by its prefix code."""
        if prefix < 4:
            return prefix + 1
        extra = (prefix - 2) >> 1
        return ((2 + (prefix & 1)) << extra) + self._bits.read(extra) + 1

    def _read_table(self, size: int) -> Table:
        read = self._bits.read
        lengths = [0] * size
        if read(1):
            symbols = read(1) + 1
            coded = [read(8) if read(1) else read(1)]
            if symbols == 2:
                coded.append(read(8))
            for symbol in coded:
                if symbol >= size:
                    raise damaged()
                lengths[symbol] = 1
            return _build_table(lengths)
        codes = [0] * len(LENGTH_ORDER)
        for symbol in LENGTH_ORDER[: read(4) + 4]:
            codes[symbol] = read(3)
        return _build_table(self._read_lengths(_build_table(codes), lengths))

    def _read_lengths(self, table: Table, lengths: list[int]) -> list[int]:
        read = self._bits.read
        left = 2 + read(2 + 2 * read(3)) if read(1) else len(lengths)
        place, before = 0, 8
        while place < len(lengths) and left:
            left -= 1
            code = self._bits.read_symbol(table)
            if code < 16:
                lengths[place] = code
                before = code or before
                place += 1
                continue
            value = before if code == 16 else 0
            times = 11 + read(7) if code == 18 else 3 + read(2 if code == 16 else 3)
            if place + times > len(lengths):
                raise damaged()
            lengths[place : place + times] = [value] * times
            place += times
        return lengths


def _divided(size: int, bits: int) -> int:
    """Size / 2**bits, rounded up."""
    return (size + (1 << bits) - 1) >> bits


def _distance(code: int, width: int) -> int:
    if code > len(NEAR):
        return code - len(NEAR)
    near = NEAR[code - 1]
    return max(1, (near >> 4) * width + 8 - (near & 15))


def _remember(pixels: list[int], cache: list[int], cache_bits: int) -> None:
    for pixel in pixels:
        cache[(HASH * pixel & 0xFFFFFFFF) >> (32 - cache_bits)] = pixel


def _build_table(lengths: list[int]) -> Table:
    """Builds a table of canonical codes; a single symbol takes no bits."""
    used = [(length, symbol) for symbol, length in enumerate(lengths) if length]
    if not used:
        raise damaged()
    if len(used) == 1:
        return [(0, used[0][1])], 0
    longest = max(length for length, _ in used)
    if sum(1 << longest - length for length, _ in used) != 1 << longest:
        raise damaged()  # some codes have no symbol, or two symbols
    entries = [(0, 0)] * (1 << longest)
    code, before = 0, 0
    for length, symbol in sorted(used):
        code <<= length - before
        before = length
        first = int(f"{code:0{length}b}"[::-1], 2)
        entries[first :: 1 << length] = [(length, symbol)] * (1 << longest - length)
        code += 1
    return entries, (1 << longest) - 1
