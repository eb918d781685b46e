"""HEVC: the size of the picture in an item (ITU-T H.265, 7.3), as HEIC files contain it."""

from collections.abc import Iterator

from models.bounds.bits import HeaderBits
from models.bounds.limits import check_most, damaged

MAX_UNITS = 20_000
MAX_PICTURES = 1
SEQUENCE_PARAMETERS = 33
FIRST_OTHER = 32
"""Types below are slices of pictures."""
ARRAYS_AT = 22
PROFILE_BITS = 88


def measure_hevc(data: bytes, configuration: bytes) -> tuple[list[tuple[int, int]], int]:
    """((width, height) of every parameter set, the number of pictures) of an item.

    configuration: the content of its property `hvcC`.

    Raises:
        Invalid: it is damaged, or has too many units or pictures.
    """
    sizes, pictures = list[tuple[int, int]](), 0
    try:
        for unit in _read_sets(configuration):
            if _kind_of(unit) == SEQUENCE_PARAMETERS:
                sizes.append(_read_size(unit))
        for unit in _read_units(data, (configuration[ARRAYS_AT - 1] & 3) + 1):
            kind = _kind_of(unit)
            if kind == SEQUENCE_PARAMETERS:
                sizes.append(_read_size(unit))
            pictures += kind < FIRST_OTHER and unit[2] >> 7
    except IndexError:
        raise damaged() from None
    if not sizes:
        raise damaged()
    check_most("pictures in one item", pictures, MAX_PICTURES)
    return sizes, pictures


def _kind_of(unit: bytes) -> int:
    return unit[0] >> 1 & 63


def _read_sets(configuration: bytes) -> Iterator[bytes]:
    """The units of the configuration's arrays."""
    place, count = ARRAYS_AT + 1, 0
    for _ in range(configuration[ARRAYS_AT]):
        number = int.from_bytes(configuration[place + 1 : place + 3])
        place += 3
        for _ in range(number):
            size = int.from_bytes(configuration[place : place + 2])
            count += 1
            check_most("units of HEVC", count, MAX_UNITS)
            yield configuration[place + 2 : place + 2 + size]
            place += 2 + size


def _read_units(data: bytes, length_size: int) -> Iterator[bytes]:
    """The units of an item, without all but the first bytes of slices."""
    place = count = 0
    while place + length_size <= len(data):
        size = int.from_bytes(data[place : place + length_size])
        place += length_size
        count += 1
        check_most("units of HEVC", count, MAX_UNITS)
        if size:
            yield data[place : place + min(size, 4096)]
        place += size


def _read_size(unit: bytes) -> tuple[int, int]:
    """Width and height of a sequence parameter set."""
    bits = HeaderBits(unit[2:].replace(b"\0\0\3", b"\0\0"))
    bits.number(4)
    layers = bits.number(3)
    bits.number(1 + PROFILE_BITS + 8)
    flags = [(bits.number(1), bits.number(1)) for _ in range(layers)]
    if layers:
        bits.number(2 * (8 - layers))
    for has_profile, has_level in flags:
        bits.number(PROFILE_BITS * has_profile + 8 * has_level)
    bits.exponential()
    if bits.exponential() == 3:
        bits.number(1)
    return bits.exponential(), bits.exponential()
