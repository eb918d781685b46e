"""Hand-made AVIF and HEIC files, whose boxes and headers claim what their pictures don't have."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Item:
    """One item: its type, its data, its properties as boxes, and what it refers to.

    extents: how often its data is named; a file can name the same bytes again and again.
    """

    kind: bytes
    data: bytes
    properties: Sequence[bytes] = ()
    references: Sequence[tuple[bytes, Sequence[int]]] = ()
    extents: int = 1


@dataclass
class _Placed:
    """Properties without repetitions, and the numbers of each item's."""

    boxes: list[bytes] = field(default_factory=list)

    def number(self, box: bytes) -> int:
        """The number of a property, counted from 1."""
        if box not in self.boxes:
            self.boxes.append(box)
        return self.boxes.index(box) + 1


def box(kind: bytes, *parts: bytes) -> bytes:
    """A box with its size."""
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def full_box(kind: bytes, *parts: bytes, version: int = 0) -> bytes:
    """A box with a version and without flags."""
    return box(kind, bytes((version, 0, 0, 0)), *parts)


def heif(items: Sequence[Item], *, brand: bytes = b"avif", after: bytes = b"") -> bytes:
    """A file of these items, numbered from 1; the first one is shown."""
    start = box(b"ftyp", brand, bytes(4), b"mif1", brand)
    meta = _meta(items, 0)
    return start + _meta(items, len(start) + len(meta) + 8) + _data(items) + after


def _data(items: Sequence[Item]) -> bytes:
    return box(b"mdat", *(item.data for item in items))


def _meta(items: Sequence[Item], place: int) -> bytes:
    placed, entries, locations, references, associations = _Placed(), b"", b"", b"", b""
    for number, item in enumerate(items, 1):
        entries += full_box(b"infe", struct.pack(">HH", number, 0), item.kind, b"\0", version=2)
        one = struct.pack(">II", place, len(item.data))
        locations += struct.pack(">HHH", number, 0, item.extents) + one * item.extents
        place += len(item.data)
        for kind, targets in item.references:
            ids = struct.pack(f">HH{len(targets)}H", number, len(targets), *targets)
            references += box(kind, ids)
        own = bytes(placed.number(one) for one in item.properties)
        associations += struct.pack(">HB", number, len(own)) + own
    count = struct.pack(">H", len(items))
    return full_box(
        b"meta",
        full_box(b"hdlr", bytes(4), b"pict", bytes(13)),
        full_box(b"pitm", struct.pack(">H", 1)),
        full_box(b"iloc", b"\x44\x00", count, locations),
        full_box(b"iinf", count, entries),
        full_box(b"iref", references),
        box(
            b"iprp", box(b"ipco", *placed.boxes),
            full_box(b"ipma", struct.pack(">I", len(items)), associations),
        ),
    )  # fmt: skip


def size(width: int, height: int) -> bytes:
    """The property of an item's announced size."""
    return full_box(b"ispe", struct.pack(">II", width, height))


def bits(*fields: tuple[int, int]) -> bytes:
    """(value, number of bits) one after the other, and a one behind them."""
    text = "".join(f"{value:0{count}b}" for value, count in fields) + "1"
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8)


def unit(kind: int, content: bytes) -> bytes:
    """An open bitstream unit of AV1, shorter than 128 bytes."""
    return bytes((kind << 3 | 2, len(content))) + content


def av1_header(width: int, height: int, *, width_bits: int = 16, reduced: bool = True) -> bytes:
    """A sequence header of AV1."""
    dimensions = [
        (width_bits - 1, 4), (15, 4), (width - 1, width_bits), (height - 1, 16),
    ]  # fmt: skip
    still = [(0, 3), (1, 1)]
    if reduced:
        return unit(1, bits(*still, (1, 1), (0, 5), *dimensions))
    return unit(1, bits(*still, (0, 1), (0, 1), (0, 1), (0, 5), (0, 12), (0, 5), *dimensions))


def av1_item(
    width: int, height: int, *, data: bytes | None = None, announced: tuple[int, int] | None = None,
    references: Sequence[tuple[bytes, Sequence[int]]] = (),
) -> Item:  # fmt: skip
    """A picture in AV1: a sequence header and one frame that can't be decoded."""
    content = av1_header(width, height) + unit(6, b"\0") if data is None else data
    configuration = box(b"av1C", b"\x81\0\0\0")
    return Item(
        b"av01", content, (size(*(announced or (width, height))), configuration), references
    )


def exponential(value: int) -> tuple[int, int]:
    """A number in the Exponential-Golomb code, as a field of `bits`."""
    return value + 1, 2 * (value + 1).bit_length() - 1


def hevc_item(width: int, height: int, *, pictures: int = 1) -> Item:
    """A picture in HEVC: parameters and slices that can't be decoded."""
    chroma = (exponential(0), exponential(1), exponential(width), exponential(height))
    plain = bits((0, 4), (0, 3), (1, 1), (0, 88), (0, 8), *chroma)
    parameters = b"\x42\x01" + plain.replace(b"\0\0", b"\0\0\3")
    array = b"\x21\0\1" + struct.pack(">H", len(parameters)) + parameters
    configuration = box(b"hvcC", bytes(21), b"\x03", b"\x01", array)
    slices = struct.pack(">I", 3) + b"\x26\x01\x80"
    return Item(b"hvc1", slices * pictures, (size(width, height), configuration))


def grid_item(width: int, height: int, rows: int, columns: int, tiles: Sequence[int]) -> Item:
    """A picture of tiles."""
    layout = bytes((0, 0, rows - 1, columns - 1)) + struct.pack(">HH", width, height)
    return Item(b"grid", layout, (size(width, height),), ((b"dimg", tiles),))
