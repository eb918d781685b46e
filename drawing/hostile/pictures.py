"""Hand-made pictures that are as expensive to decode as their format allows, for tests and fuzzers.

Each function writes the bytes itself, without an encoder, so that a file of a few kilobytes can
claim any number of scans, chunks, tags, blocks or frames.
"""

import struct
import zlib
from collections.abc import Sequence

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
LONG_RUN = 1 << 14
"""Blocks that one code of 15 zero bits skips in the scans below."""


def segment(marker: int, body: bytes = b"") -> bytes:
    """A JPEG marker segment with its length."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def jpeg(
    width: int,
    height: int,
    scans: Sequence[bytes],
    *,
    components: int = 1,
    frame: int = 0xC2,
    before: bytes = b"",
    symbol: int = 0xE0,
) -> bytes:
    """A JPEG of these scans. frame: the marker of the frame's header, 0xC2 is progressive.

    before: segments after the start of the image. symbol: the symbol of the AC table's only code,
    which is one zero bit; 0xE0 skips a long run of blocks.
    """
    parts = b"".join(bytes((number, 0x11, 0)) for number in range(1, components + 1))
    head = struct.pack(">BHHB", 8, height, width, components) + parts
    one_code = bytes((1, *[0] * 15))
    tables = b"\x00" + one_code + b"\x00" + b"\x10" + one_code + bytes((symbol,))
    return b"".join(
        (b"\xff\xd8", before, segment(0xDB, bytes(1) + bytes((1,)) * 64), segment(frame, head),
         segment(0xC4, tables), *scans, b"\xff\xd9")
    )  # fmt: skip


def dc_scan(components: int = 1, data: bytes = b"\x00") -> bytes:
    """The first scan of a progressive JPEG, interleaved."""
    parts = b"".join(bytes((number, 0)) for number in range(1, components + 1))
    return segment(0xDA, bytes((components,)) + parts + b"\x00\x00\x00") + data


def ac_scan(data: bytes, *, component: int = 1, refine: bool = True) -> bytes:
    """A scan of all AC coefficients of one component."""
    bits = 0x10 if refine else 0x01
    return segment(0xDA, bytes((1, component, 0, 1, 63, bits))) + data


def scan_bomb(width: int, height: int, scans: int, components: int = 1) -> bytes:
    """A progressive JPEG whose scans after the first refine nothing; they have about 90 bytes."""
    blocks = -(-width // 8) * -(-height // 8)
    nothing = bytes(-(-blocks // LONG_RUN) * 15 // 8 + 1)
    refining = [ac_scan(nothing, component=1 + turn % components) for turn in range(scans - 1)]
    return jpeg(width, height, [dc_scan(components), *refining], components=components)


def sequential_bomb(width: int, height: int, scans: int, components: int = 3) -> bytes:
    """A JPEG that isn't progressive and codes its first component again and again."""
    scan = segment(0xDA, b"\x01\x01\x00\x00\x3f\x00") + bytes(width * height // 256 + 1)
    return jpeg(width, height, [scan] * scans, components=components, frame=0xC1, symbol=0)


def segment_flood(width: int, height: int, count: int, body: bytes = b"Exif\0\0") -> bytes:
    """A small JPEG behind many application segments; Pillow joins those of EXIF one by one."""
    return jpeg(width, height, [dc_scan()], before=segment(0xE1, body) * count)


def exif_flood(width: int, height: int, count: int) -> bytes:
    """A small JPEG with `count` EXIF tags, in as many segments as they need."""
    entries = b"".join(struct.pack("<HHII", 1 + tag, 3, 1, 0) for tag in range(count))
    body = b"II*\0\x08\0\0\0" + struct.pack("<H", count) + entries + bytes(4)
    parts = (body[at : at + 65_000] for at in range(0, len(body), 65_000))
    before = b"".join(segment(0xE1, b"Exif\0\0" + part) for part in parts)
    return jpeg(width, height, [dc_scan()], before=before)


def fill_flood(width: int, height: int, count: int) -> bytes:
    """A small JPEG with fill bytes between two of its markers."""
    return jpeg(width, height, [dc_scan()], before=b"\xff" * count)


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    """A PNG chunk with its checksum."""
    checksum = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + checksum


def png(
    width: int,
    height: int,
    *,
    before: bytes = b"",
    data: bytes | None = None,
    depth: int = 8,
    colour: int = 2,
    interlaced: bool = False,
    line_filter: int = 0,
) -> bytes:
    """A PNG of zeros. before: chunks in front of its data. data: chunks instead of its own.

    colour: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA. line_filter: the filter of every
    line; 4 is Paeth's, the slowest one.
    """
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    if data is None:
        samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
        line = bytes((line_filter,)) + bytes((width * samples * depth + 7) // 8)
        packer = zlib.compressobj(9)
        spare = bytes(len(line)) if interlaced else b""  # each of seven passes rounds up
        packed = [packer.compress(line) for _ in range(height)]
        packed += [packer.compress(spare) for _ in range(height // 4)]
        data = chunk(b"IDAT", b"".join(packed) + packer.flush())
    palette = chunk(b"PLTE", bytes((1, 2, 3)) * 256) if colour == 3 else b""
    return b"".join((PNG_SIGNATURE, chunk(b"IHDR", head), before, palette, data, chunk(b"IEND")))


def png_chunk_flood(width: int, height: int, count: int, kind: bytes = b"tEXt") -> bytes:
    """A PNG behind many small chunks."""
    return png(width, height, before=chunk(kind, b"a\0b") * count)


def png_data_flood(width: int, height: int, count: int) -> bytes:
    """A PNG whose data lies behind many empty chunks of data."""
    whole = zlib.compress(bytes((1 + 3 * width) * height))
    return png(width, height, data=chunk(b"IDAT") * count + chunk(b"IDAT", whole))


def png_profile_flood(width: int, height: int, count: int, size: int = 1 << 20) -> bytes:
    """A PNG with many colour profiles, each packed from `size` zeros; decoders use the last one."""
    packed = chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(size), 9))
    return png(width, height, before=packed * count)


def png_text_bomb(width: int, height: int, count: int, size: int = 1 << 20) -> bytes:
    """A PNG with many packed texts."""
    packed = zlib.compress(b"a" * size, 9)
    texts = (chunk(b"zTXt", b"%d\0\0" % number + packed) for number in range(count))
    return png(width, height, before=b"".join(texts))


def png_frame_flood(width: int, height: int, count: int) -> bytes:
    """An animated PNG of many frames behind its first."""
    whole = zlib.compress(bytes((1 + 3 * width) * height))
    size = struct.pack(">II", width, height)

    def control(number: int) -> bytes:
        return chunk(b"fcTL", struct.pack(">I", number) + size + bytes(8) + b"\0\1\0\1\0\0")

    frames = [control(0), chunk(b"IDAT", whole)]
    for number in range(1, count):
        frames += [control(2 * number - 1), chunk(b"fdAT", struct.pack(">I", 2 * number) + whole)]
    return png(
        width, height, before=chunk(b"acTL", struct.pack(">II", count, 0)), data=b"".join(frames)
    )


TiffTags = dict[int, tuple[int, Sequence[int]]]
"""A tag's type (1 BYTE, 3 SHORT, 4 LONG) and values."""
_TIFF_UNITS = {1: "B", 3: "H", 4: "I"}


def tiff(
    width: int, height: int, tags: TiffTags | None = None, data: bytes = b"", next_at: int = 0
) -> bytes:
    """A grey, uncompressed TIFF of one strip that begins at byte 8; tags add to its own."""
    data = data or bytes(width * height)
    merged: TiffTags = {
        256: (4, [width]), 257: (4, [height]), 258: (3, [8]), 259: (3, [1]), 262: (3, [1]),
        273: (4, [8]), 277: (3, [1]), 278: (4, [height]), 279: (4, [len(data)]),
    }  # fmt: skip
    merged |= tags or {}
    if 322 in merged:  # tiles instead of strips
        for strips in (273, 278, 279):
            del merged[strips]
    entries, far = [], b""
    far_at = 8 + len(data) + 2 + 12 * len(merged) + 4
    for tag, (kind, values) in sorted(merged.items()):
        packed = struct.pack(f"<{len(values)}{_TIFF_UNITS[kind]}", *values)
        if len(packed) > 4:
            place = struct.pack("<I", far_at + len(far))
            far += packed
        else:
            place = packed.ljust(4, b"\0")
        entries.append(struct.pack("<HHI", tag, kind, len(values)) + place)
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + struct.pack("<I", next_at)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory + far


def tiff_tag_flood(width: int, height: int, count: int) -> bytes:
    """A packed TIFF with many unknown tags."""
    tags: TiffTags = {30_000 + number: (3, [0]) for number in range(count)}
    return tiff(width, height, tags | {259: (3, [8])}, zlib.compress(bytes(width * height)))


def tiff_ifd_flood(width: int, height: int, count: int) -> bytes:
    """A TIFF of many pages, each of which is a directory without tags."""
    first = tiff(width, height)
    starts = [len(first) + 6 * number for number in range(count)] + [0]
    pages = (struct.pack("<HI", 0, after) for after in starts[1:])
    return tiff(width, height, next_at=starts[0] if count else 0) + b"".join(pages)


def tiff_strip_flood(width: int, height: int) -> bytes:
    """A packed TIFF with a strip for each line; every strip refers to the same bytes."""
    data = zlib.compress(bytes(width)) + bytes(2_000_000)
    tags: TiffTags = {
        259: (3, [8]), 278: (4, [1]), 273: (4, [8] * height), 279: (4, [len(data)] * height),
    }  # fmt: skip
    return tiff(width, height, tags, data)


def tiff_tile_flood(width: int, height: int, side: int = 1) -> bytes:
    """An uncompressed TIFF in tiles of `side` x `side` pixels; all refer to the same bytes."""
    count = -(-width // side) * -(-height // side)
    tags: TiffTags = {
        322: (4, [side]), 323: (4, [side]), 324: (4, [8] * count), 325: (4, [side * side] * count)
    }  # fmt: skip
    return tiff(width, height, tags, bytes(side * side))


def tiff_flat(
    width: int, height: int, *, samples: int = 1, depth: int = 8, rows: int | None = None
) -> bytes:
    """A TIFF of zeros packed by Deflate, in strips of `rows` rows with the same content."""
    rows = rows or height
    strip = zlib.compress(bytes(width * rows * samples * depth // 8), 9)
    count = -(-height // rows)
    tags: TiffTags = {
        258: (3, [depth] * samples), 259: (3, [8]), 262: (3, [2 if samples == 3 else 1]),
        277: (3, [samples]), 278: (4, [rows]),
        273: (4, [8 + number * len(strip) for number in range(count)]),
        279: (4, [len(strip)] * count),
    }  # fmt: skip
    return tiff(width, height, tags, strip * count)


def tiff_jpeg(width: int, height: int, strip: bytes, compression: int = 7) -> bytes:
    """A TIFF with one strip of JPEG."""
    return tiff(width, height, {259: (3, [compression])}, strip)


GIF_TRAILER = b"\x3b"


def gif(width: int, height: int, *, before: bytes = b"", frames: int = 1) -> bytes:
    """A GIF of zeros; before: blocks in front of its first picture."""
    frame = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + lzw_zeros(width * height)
    palette = bytes((1, 2, 3, 4, 5, 6))
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + palette
    return head + before + frame * frames + GIF_TRAILER


def lzw_zeros(count: int) -> bytes:
    """`count` zeros in GIF's sub-blocks; each code stands for one pixel more than the last code."""
    bits, length, value = 0, 0, 0
    size, following, left, run = 3, 6, count, 1
    packed = bytearray()
    codes = [4, 0]
    while codes:
        for code in codes:
            value |= code << bits
            bits += size
            while bits >= 8:
                packed.append(value & 0xFF)
                value, bits = value >> 8, bits - 8
        if codes[-1] == 5:
            break
        length = 1 if codes[-1] == 0 else run
        left -= length
        run += 1
        if left <= 0:
            codes = [5]
        elif following >= 4095:
            codes, size, following, run = [4, 0], 12, 6, 1
            value |= 4 << bits
            bits += 12
            codes, size = [0], 3
        else:
            codes = [following]
            following += 1
            if following > 1 << size and size < 12:
                size += 1
    packed.append(value & 0xFF)
    blocks = (packed[at : at + 255] for at in range(0, len(packed), 255))
    return b"\x02" + b"".join(bytes((len(block),)) + block for block in blocks) + b"\0"


def gif_block_flood(width: int, height: int, count: int) -> bytes:
    """A GIF behind a comment of many blocks of one byte."""
    return gif(width, height, before=b"!\xfe" + b"\x01a" * count + b"\0")


def gif_frame_flood(width: int, height: int, count: int) -> bytes:
    """A GIF of many pictures."""
    return gif(width, height, frames=count)


def bmp_rle(width: int, height: int) -> bytes:
    """A run-length-coded BMP of one pixel a line; Pillow fills the rest of each line in Python."""
    palette = bytes((1, 2, 3, 0)) * 256
    data = b"\1\1\0\0" * height + b"\0\1"
    start = 14 + 40 + len(palette)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(data), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + info + palette + data
