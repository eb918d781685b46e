"""The boxes of ISO base media files (ISO/IEC 14496-12), in which AVIF and HEIC pictures lie.

Only what describes still pictures is read: items, their types, data, properties and references
(ISO/IEC 23008-12).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from errors import Invalid
from models.bounds.limits import check_most, damaged

MAX_BOXES = 1000
"""In one box, or in the file itself."""
MAX_ITEMS = 1000
"""The tiles of a 48-megapixel photograph of a phone are about 200."""
MAX_ENTRIES = 20_000
"""References, associations of properties, and extents, each."""
IN_FILE, IN_IDAT = 0, 1
REPEATABLE = frozenset({b"mdat", b"free", b"skip", b"uuid"})
Box = tuple[bytes, int, int]
"""A box's type, and the start and end of its content."""


@dataclass
class Items:
    """The pictures and metadata of a file.

    Attributes:
        primary: the id of the picture that is shown.
        kinds: item -> its type, such as `av01`, `hvc1`, `grid` or `Exif`.
        extents: item -> the places of its data, as (start, end) in the file.
        properties: all properties, in order.
        own: item -> the numbers of its properties, counted from 1.
        references: (type, item, items that it refers to).
    """

    data: bytes
    primary: int = 0
    kinds: dict[int, bytes] = field(default_factory=dict)
    extents: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    properties: list[Box] = field(default_factory=list)
    own: dict[int, list[int]] = field(default_factory=dict)
    references: list[tuple[bytes, int, tuple[int, ...]]] = field(default_factory=list)

    def properties_of(self, item: int, kind: bytes) -> list[bytes]:
        """The contents of an item's properties of one type."""
        boxes = [self.properties[at - 1] for at in self.own.get(item, ()) if at]
        return [self.data[start:end] for name, start, end in boxes if name == kind]

    def size_of(self, item: int) -> int:
        """How many bytes an item has."""
        return sum(end - start for start, end in self.extents.get(item, ()))

    def data_of(self, item: int) -> bytes:
        """The bytes of an item."""
        return b"".join(self.data[start:end] for start, end in self.extents.get(item, ()))


def read_boxes(data: bytes, start: int, end: int) -> Iterator[Box]:
    """The boxes between two places.

    Raises:
        Invalid: there are too many, or one reaches beyond the end.
    """
    count = 0
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1 and start + 16 <= end:
            (size,) = struct.unpack_from(">Q", data, start + 8)
            head = 16
        elif size == 0:
            size = end - start
        if size < head or start + size > end:
            raise damaged()
        count += 1
        check_most("boxes", count, MAX_BOXES)
        yield kind, start + head, start + size
        start += size


def read_items(data: bytes) -> Items:
    """Reads the description of the pictures in a file.

    Raises:
        Invalid: it is damaged, has too many entries, or is a sequence of pictures.
    """
    boxes = _read_unique(data, 0, len(data))
    if b"moov" in boxes or b"mini" in boxes:
        raise Invalid("the image is a sequence or an animation; save one picture of it")
    if b"meta" not in boxes:
        raise damaged()
    start, end = boxes[b"meta"]
    parts = _read_unique(data, start + 4, end)
    items = Items(data)
    try:
        items.primary = _read_primary(data, *parts[b"pitm"])
        items.kinds = _read_kinds(data, *parts[b"iinf"])
        idat = parts.get(b"idat", (0, 0))[0]
        items.extents = _read_extents(BoxFields(data, *parts[b"iloc"]), idat)
        if b"iref" in parts:
            items.references = _read_references(data, *parts[b"iref"])
        for kind, first, last in read_boxes(data, *parts[b"iprp"]):
            if kind == b"ipco":
                if items.properties:
                    raise damaged()
                items.properties += read_boxes(data, first, last)
            elif kind == b"ipma":
                own = _read_associations(BoxFields(data, first, last))
                if own.keys() & items.own.keys():
                    raise damaged()
                items.own |= own
    except (KeyError, struct.error, IndexError):
        raise damaged() from None
    if any(at > len(items.properties) for own in items.own.values() for at in own):
        raise damaged()
    return items


def _read_unique(data: bytes, start: int, end: int) -> dict[bytes, tuple[int, int]]:
    """The places of the boxes, of which decoders could read another one than these checks.

    Raises:
        Invalid: two boxes have the same type.
    """
    places: dict[bytes, tuple[int, int]] = {}
    for kind, first, last in read_boxes(data, start, end):
        if kind in places and kind not in REPEATABLE:
            raise damaged()
        places[kind] = first, last
    return places


class BoxFields:
    """Reads numbers one after the other from a box."""

    def __init__(self, data: bytes, start: int, end: int) -> None:
        self._data, self.place, self._end = data, start, end

    def number(self, size: int) -> int:
        """The next number, of `size` bytes; a number of no bytes is 0.

        Raises:
            IndexError: the box ends before.
        """
        end = self.place + size
        if end > self._end:
            raise IndexError
        value = int.from_bytes(self._data[self.place : end])
        self.place = end
        return value


def _read_primary(data: bytes, start: int, end: int) -> int:
    fields = BoxFields(data, start, end)
    version = fields.number(4) >> 24
    return fields.number(2 if version == 0 else 4)


def _read_kinds(data: bytes, start: int, end: int) -> dict[int, bytes]:
    fields = BoxFields(data, start, end)
    version = fields.number(4) >> 24
    fields.number(2 if version == 0 else 4)
    kinds: dict[int, bytes] = {}
    for kind, first, last in read_boxes(data, fields.place, end):
        if kind == b"infe":
            entry = BoxFields(data, first, last)
            version = entry.number(4) >> 24
            if version not in (2, 3):
                raise damaged()
            item = entry.number(2 if version == 2 else 4)
            entry.number(2)
            if item in kinds:
                raise damaged()
            kinds[item] = entry.number(4).to_bytes(4)
            check_most("items", len(kinds), MAX_ITEMS)
    return kinds


def _read_extents(fields: BoxFields, idat: int) -> dict[int, list[tuple[int, int]]]:
    version = fields.number(4) >> 24
    sizes = fields.number(2)
    offset_size, length_size, base_size, index_size = (
        sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15, sizes & 15,
    )  # fmt: skip
    extents: dict[int, list[tuple[int, int]]] = {}
    total = 0
    for _ in range(fields.number(2 if version < 2 else 4)):
        item = fields.number(2 if version < 2 else 4)
        method = fields.number(2) & 15 if version else IN_FILE
        fields.number(2)
        base = fields.number(base_size) + (idat if method == IN_IDAT else 0)
        count = fields.number(2)
        total += 1 + count
        check_most("extents of its items", total, MAX_ENTRIES)
        if item in extents:
            raise damaged()
        places = extents[item] = []
        for _ in range(count):
            fields.number(index_size if version else 0)
            start = base + fields.number(offset_size)
            places.append((start, start + fields.number(length_size)))
        if method not in (IN_FILE, IN_IDAT):
            del extents[item]  # data within other items; decoders for still pictures skip it
    return extents


def _read_references(data: bytes, start: int, end: int) -> list[tuple[bytes, int, tuple[int, ...]]]:
    size = 2 if BoxFields(data, start, end).number(4) >> 24 == 0 else 4
    references = []
    total = 0
    for kind, first, last in read_boxes(data, start + 4, end):
        fields = BoxFields(data, first, last)
        item, count = fields.number(size), fields.number(2)
        total += count
        check_most("references between its items", total, MAX_ENTRIES)
        references.append((kind, item, tuple(fields.number(size) for _ in range(count))))
    return references


def _read_associations(fields: BoxFields) -> dict[int, list[int]]:
    head = fields.number(4)
    item_size, number_size = (2 if head >> 24 == 0 else 4), (2 if head & 1 else 1)
    own: dict[int, list[int]] = {}
    total = 0
    for _ in range(fields.number(4)):
        item, count = fields.number(item_size), fields.number(1)
        total += 1 + count
        check_most("properties of its items", total, MAX_ENTRIES)
        mask = 0x7FFF if number_size == 2 else 0x7F
        if item in own:
            raise damaged()
        own[item] = [fields.number(number_size) & mask for _ in range(count)]
    return own
