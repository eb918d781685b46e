"""JPEG: counts scans times samples by walking the markers (ITU-T T.81, annex B).

libjpeg decodes every scan of a file, and a scan that changes nothing takes 50 bytes. Encoders write
about 10 scans: 560 million samples for 40 megapixels without chroma subsampling. Up to the first
scan the file must be well formed, so that the parsers of Pillow, libjpeg and this module read the
same header.
"""

import re
import struct
from dataclasses import dataclass

from errors import Invalid
from models.bounds.limits import (
    MAX_DECODED_BYTES,
    MAX_EXIF_BYTES,
    MAX_PROFILE_BYTES,
    check_most,
    check_size,
    damaged,
)

MAX_SCANS = 64
MAX_SCANNED_SAMPLES = 1_000_000_000
"""The samples of all scans; a scan of one colour component reads that component's samples."""
MAX_SEGMENTS = 1000
"""Segments before the first scan."""
MAX_FILL_BYTES = 1024
"""Fill bytes between two markers; Pillow skips each of them in Python."""
MAX_TABLE_BYTES = 4096
"""Quantization tables before the first scan; four tables of 16 bits have 520 bytes."""
MAX_PHOTOSHOP_BYTES = 1_000_000

DHT, SOI, EOI, SOS, DQT, APP1, APP2, APP13, TEM = (
    0xC4, 0xD8, 0xD9, 0xDA, 0xDB, 0xE1, 0xE2, 0xED, 0x01,
)  # fmt: skip
PROGRESSIVE = 0xC2
FRAMES = frozenset({0xC0, 0xC1, PROGRESSIVE})
OTHER_FRAMES = frozenset({0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xDE})
SEGMENTS = frozenset({DHT, 0xCC, DQT, 0xDC, 0xDD, 0xDF, *range(0xE0, 0xF0), 0xFE})
MARKER = re.compile(rb"\xff[\x01-\xfe]")
"""Pillow and libjpeg skip the bytes before a marker."""
NEXT_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""In coded data FF 00 means the byte 255, and FF D0 to FF D7 are restart markers."""
START_OF_SCAN = b"\xff\xda"
BOUNDED = {
    (APP1, b"Exif\0\0"): ("bytes of EXIF", MAX_EXIF_BYTES, 16),
    (APP2, b"ICC_PROFILE\0"): ("bytes of colour profile", MAX_PROFILE_BYTES, 255),
    (APP13, b"Photoshop"): ("bytes of Photoshop resources", MAX_PHOTOSHOP_BYTES, 64),
    (DQT, b""): ("bytes of quantization tables", MAX_TABLE_BYTES, 64),
}
"""The segments that Pillow parses in Python: (marker, start) -> name, most bytes, most segments."""


@dataclass(frozen=True)
class Frame:
    """A frame's header. samples: the samples of each component, by the component's number."""

    width: int
    height: int
    progressive: bool
    samples: dict[int, int]


def check_jpeg(data: bytes) -> None:
    """Checks the structure and the size of a JPEG file without decoding it.

    Raises:
        Invalid: the file is damaged or exceeds a limit.
    """
    frame, scans_at = _read_header(data)
    check_size(frame.width, frame.height)
    if not frame.progressive and data[scans_at + 4 : scans_at + 5] == bytes((len(frame.samples),)):
        return  # libjpeg decodes one scan and refuses a second one
    total = sum(frame.samples.values())
    _check_memory(2 * total)  # the coefficients of all components, two bytes each
    marks = data.count(START_OF_SCAN, scans_at)  # an upper limit of the number of scans
    if marks > MAX_SCANS or marks * total > MAX_SCANNED_SAMPLES:
        _check_scans(data, scans_at, frame)


def _check_memory(size: int) -> None:
    if size > MAX_DECODED_BYTES:
        raise Invalid(
            f"the image takes {size:,} bytes while it is decoded; "
            f"at most {MAX_DECODED_BYTES:,} are allowed"
        )


def _read_header(data: bytes) -> tuple[Frame, int]:
    """The frame, and the offset of the first scan's marker."""
    place, count = 2, 0
    frame: Frame | None = None
    parsed: dict[tuple[int, bytes], list[int]] = {}
    while True:
        match = MARKER.search(data, place, place + MAX_FILL_BYTES + 2)
        if match is None:
            check_most("fill bytes between two markers", len(data) - place, MAX_FILL_BYTES)
            raise damaged()
        place, marker = match.end() - 1, match[0][1]
        if marker == SOS:
            if frame is None:
                raise damaged()
            return frame, place - 1
        body = _segment(data, place + 1)
        count += 1
        check_most("segments", count, MAX_SEGMENTS)
        if marker in FRAMES and frame is None:
            frame = _read_frame(body, progressive=marker == PROGRESSIVE)
        elif marker in OTHER_FRAMES:
            raise Invalid("JPEG images must be baseline or progressive, with Huffman codes")
        elif marker in SEGMENTS:
            _count_parsed(marker, body, parsed)
        else:
            raise damaged()
        place += 3 + len(body)


def _segment(data: bytes, place: int) -> bytes:
    """The body of a segment; `place` is the offset of its length."""
    if place + 2 > len(data):
        raise damaged()
    (length,) = struct.unpack_from(">H", data, place)
    if length < 2 or place + length > len(data):
        raise damaged()
    return data[place + 2 : place + length]


def _read_frame(body: bytes, *, progressive: bool) -> Frame:
    if len(body) < 6 or len(body) != 6 + 3 * body[5]:
        raise damaged()
    height, width = struct.unpack_from(">HH", body, 1)
    parts = [(body[at], body[at + 1] >> 4, body[at + 1] & 15) for at in range(6, len(body), 3)]
    across, down = max(x for _, x, _ in parts), max(y for _, _, y in parts)
    if not (width and height and all(1 <= x <= 4 and 1 <= y <= 4 for _, x, y in parts)):
        raise damaged()
    samples = {number: -(-width * x // across) * -(-height * y // down) for number, x, y in parts}
    if len(samples) != len(parts):
        raise damaged()  # two components have one number
    return Frame(width, height, progressive, samples)


def _count_parsed(marker: int, body: bytes, parsed: dict[tuple[int, bytes], list[int]]) -> None:
    for (kind, start), (what, most_bytes, most_segments) in BOUNDED.items():
        if marker == kind and body.startswith(start):
            sizes = parsed.setdefault((kind, start), [])
            sizes.append(len(body))
            check_most(what, sum(sizes), most_bytes)
            check_most(f"segments with {what}", len(sizes), most_segments)


def _check_scans(data: bytes, place: int, frame: Frame) -> None:
    """Walks from scan to scan as libjpeg does; `place` is the offset of the first one."""
    scans = samples = 0
    total = sum(frame.samples.values())
    while True:
        marker = data[place + 1]
        if marker in {SOI, EOI}:
            return
        end = place + 2
        if marker != TEM:
            if end + 2 > len(data):
                return
            end += max(2, struct.unpack_from(">H", data, end)[0])
        if marker == SOS:
            scans += 1
            samples += _scan_samples(data[place + 4 : end], frame.samples, total)
            check_most("scans", scans, MAX_SCANS)
            check_most("samples in all of its scans", samples, MAX_SCANNED_SAMPLES)
        match = NEXT_MARKER.search(data, end)
        if match is None:
            return
        place = match.start()


def _scan_samples(body: bytes, samples: dict[int, int], total: int) -> int:
    count = body[0] if body else 0
    return sum(samples.get(body[at], total) for at in range(1, min(2 * count, len(body)), 2))
