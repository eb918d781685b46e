"""AVIF and HEIC: the picture that is shown, its tiles and its planes (ISO/IEC 23008-12).

A decoder allocates by the size in the codec's own header, which may differ from the one that the
file announces, so both are read. Only the items that a decoder may decode are bounded by their
pixels; a phone's photograph has a thumbnail, a depth map or a gain map beside its picture.
"""

from errors import Invalid
from models.bounds.av1 import measure_av1
from models.bounds.boxes import Items, read_items
from models.bounds.hevc import measure_hevc
from models.bounds.limits import (
    MAX_EXIF_BYTES,
    MAX_PIXELS,
    MAX_PROFILE_BYTES,
    check_most,
    check_size,
    damaged,
)

MAX_PICTURES = 16
"""Pictures side by side, each of which Pillow opens with a copy of its metadata."""
MAX_CODED_PIXELS = 2 * MAX_PIXELS + 4_000_000
"""Of all coded items: a picture, its alpha plane, and thumbnails."""
MAX_METADATA_BYTES = 4_000_000
TILE_SLACK = 1 << 20
"""The tiles may have twice the picture's pixels, and this many more."""
CODECS = {b"av01": (b"av1C", measure_av1), b"hvc1": (b"hvcC", measure_hevc)}
GRID = b"grid"
PICTURES = frozenset({*CODECS, GRID, b"iovl", b"iden", b"tmap", b"unci", b"jpeg", b"avc1"})
METADATA = frozenset({b"Exif", b"mime", b"uri "})


def check_heif(data: bytes) -> None:
    """Checks the structure and the size of an AVIF or HEIC file without decoding it.

    Raises:
        Invalid: the file is damaged or exceeds a limit.
    """
    items = read_items(data)
    _check_metadata(items)
    coded = [item for item, kind in items.kinds.items() if kind in CODECS]
    check_most("bytes in all of its parts", sum(map(items.size_of, coded)), len(data))
    pixels = {item: _check_coded(items, item) for item in coded}
    check_most("pixels in all of its parts", sum(pixels.values()), MAX_CODED_PIXELS)
    kind = items.kinds.get(items.primary)
    check_size(*_announced_size(items, items.primary))
    if kind == GRID:
        _check_grid(items, items.primary, pixels)
    elif kind not in CODECS:
        raise Invalid("the image must be one picture, or a grid of tiles, in AV1 or HEVC")


def _check_metadata(items: Items) -> None:
    """Bounds what is copied for each picture that lies beside the first one."""
    inner = {item for kind, item, _ in items.references if kind in (b"thmb", b"auxl")}
    inner |= {one for kind, _, parts in items.references if kind == b"dimg" for one in parts}
    pictures = {item for item, kind in items.kinds.items() if kind in PICTURES} - inner
    check_most("pictures side by side", len(pictures), MAX_PICTURES)
    sizes = dict.fromkeys(METADATA, 0)
    for item, kind in items.kinds.items():
        if kind in sizes:
            sizes[kind] += items.size_of(item)
    check_most("bytes of EXIF", sizes[b"Exif"], MAX_EXIF_BYTES)
    check_most("bytes of metadata", sum(sizes.values()), MAX_METADATA_BYTES)
    profiles = sum(end - start for kind, start, end in items.properties if kind == b"colr")
    check_most("bytes of colour profile", profiles, MAX_PROFILE_BYTES)


def _check_coded(items: Items, item: int) -> int:
    """The pixels that an item's decoder works on."""
    name, measure = CODECS[items.kinds[item]]
    configuration = items.properties_of(item, name)
    if len(configuration) != 1 or not items.size_of(item):
        raise damaged()
    sizes, frames = measure(items.data_of(item), configuration[0])
    for size in {*sizes, _announced_size(items, item)}:
        check_size(*size)
    return max(width * height for width, height in sizes) * max(1, frames)


def _announced_size(items: Items, item: int) -> tuple[int, int]:
    sizes = items.properties_of(item, b"ispe")
    if len(sizes) != 1 or len(sizes[0]) != 12:
        raise damaged()
    width, height = int.from_bytes(sizes[0][4:8]), int.from_bytes(sizes[0][8:12])
    if not width or not height:
        raise damaged()
    return width, height


def _check_grid(items: Items, item: int, pixels: dict[int, int]) -> None:
    """Bounds the tiles of the shown picture; each of them must be coded."""
    layout = items.data_of(item)
    if len(layout) < 8:
        raise damaged()
    size = 4 if layout[1] & 1 else 2
    width, height = (int.from_bytes(layout[at : at + size]) for at in (4, 4 + size))
    if not width or not height:
        raise damaged()
    check_size(width, height)
    tiles = [one for kind, owner, parts in items.references if (kind, owner) == (b"dimg", item)
             for one in parts]  # fmt: skip
    if len(tiles) != (layout[2] + 1) * (layout[3] + 1):
        raise damaged()
    if not pixels.keys() >= set(tiles) or len(set(tiles)) != len(tiles):
        raise Invalid("the tiles of the image must be different pictures in AV1 or HEVC")
    total = sum(pixels[tile] for tile in tiles)
    check_most("pixels in its tiles", total, 2 * width * height + TILE_SLACK)
