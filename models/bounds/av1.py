"""AV1: the size of an item's frames, and how many there are (AV1 specification, 5.3 to 5.9)."""

from collections.abc import Iterator

from models.bounds.bits import HeaderBits
from models.bounds.limits import MAX_PIXELS, check_most, damaged

MAX_UNITS = 20_000
MAX_FRAMES = 4
"""A picture has one frame, or one for each of at most four layers."""
MAX_POSSIBLE_PIXELS = 4 * MAX_PIXELS
"""A frame may override its size by as many bits as the header has for it; the fewest bits for
`MAX_PIXELS` express up to four times as many."""
SEQUENCE_HEADER, FRAME_HEADER, FRAME = 1, 3, 6
CONFIGURATION_BYTES = 4


def measure_av1(data: bytes, configuration: bytes) -> tuple[list[tuple[int, int]], int]:
    """((width, height) of every sequence header, the number of frames) of an item.

    configuration: the content of its property `av1C`.

    Raises:
        Invalid: it is damaged, or has too many units or frames.
    """
    sizes, frames = list[tuple[int, int]](), 0
    try:
        for kind, unit in _read_units(configuration[CONFIGURATION_BYTES:]):
            if kind == SEQUENCE_HEADER:
                sizes.append(_read_size(unit))
        for kind, unit in _read_units(data):
            if kind == SEQUENCE_HEADER:
                sizes.append(_read_size(unit))
            frames += kind in (FRAME_HEADER, FRAME)
    except IndexError:
        raise damaged() from None
    if not sizes:
        raise damaged()
    check_most("frames in one item", frames, MAX_FRAMES)
    return sizes, frames


def _read_units(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The (type, content) of each open bitstream unit."""
    place = count = 0
    while place < len(data):
        head = data[place]
        place += 2 if head & 4 else 1
        size = len(data) - place
        if head & 2:
            size, place = _read_leb128(data, place)
        count += 1
        check_most("units of AV1", count, MAX_UNITS)
        yield head >> 3 & 15, data[place : place + size]
        place += size


def _read_leb128(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for at in range(8):
        byte = data[place + at]
        value |= (byte & 0x7F) << 7 * at
        if not byte & 0x80:
            return value, place + at + 1
    raise IndexError


def _read_size(unit: bytes) -> tuple[int, int]:
    """The largest frame of a sequence header.

    Raises:
        Invalid: its frames could be much larger.
    """
    bits = HeaderBits(unit)
    bits.number(4)  # profile, still picture
    is_reduced = bits.number(1)
    if is_reduced:
        bits.number(5)  # level
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = bits.number(4) + 1, bits.number(4) + 1
    if not is_reduced:
        possible = 1 << width_bits + height_bits
        check_most("pixels that a frame of it can have", possible, MAX_POSSIBLE_PIXELS)
    return bits.number(width_bits) + 1, bits.number(height_bits) + 1


def _skip_operating_points(bits: HeaderBits) -> None:
    delay_bits = 0
    if bits.number(1):  # timing info
        bits.number(64)
        if bits.number(1):
            bits.exponential()
        if bits.number(1):  # decoder model
            delay_bits = bits.number(5) + 1
            bits.number(42)
    has_delays = bits.number(1)
    for _ in range(bits.number(5) + 1):
        bits.number(12)
        if bits.number(5) > 7:
            bits.number(1)
        if delay_bits and bits.number(1):
            bits.number(2 * delay_bits + 1)
        if has_delays and bits.number(1):
            bits.number(4)
