"""What the worst picture of each format that is taken costs: CPU seconds and memory.

Run: python -m benchmarks.files.picture_bounds
Each picture is read in a process of its own.
"""

import argparse
import io
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import PIL
from PIL import Image

from benchmarks.report import keep, today
from drawing.hostile import pictures
from drawing.hostile import webp as webp_pictures
from errors import StudioError
from models.bounds.gif import MAX_BLOCKS
from models.bounds.jpeg import MAX_SCANNED_SAMPLES, MAX_SCANS
from models.bounds.png import MAX_DATA_CHUNKS, MAX_OTHER_CHUNKS, MAX_PACKED_TEXTS
from models.bounds.tiff import MAX_TAGS
from models.bounds.vp8l import MAX_GROUPS
from models.images import decode_image, inspect_image, prepare_decoders, public_copy

SIDE = 6320  # squared, just below 40 megapixels
SMALLER = 5650  # squared, 32 megapixels
TURNS = 1
READS: dict[str, Callable[[bytes], object]] = {
    "inspect": inspect_image,
    "decode": decode_image,
    "decode small": lambda data: decode_image(data, shortest_side=448),
    "public copy": public_copy,
}


def jpeg_scans() -> bytes:
    """As many scans as the bound on samples allows at 40 megapixels."""
    return pictures.scan_bomb(SIDE, SIDE, MAX_SCANNED_SAMPLES // SIDE**2)


def jpeg_codes() -> bytes:
    """The same number of scans, each with four codes a block: as many as 15 MB hold."""
    scan = pictures.ac_scan(bytes(14_700_000 // (MAX_SCANNED_SAMPLES // SIDE**2)))
    scans = [pictures.dc_scan(), *[scan] * (MAX_SCANNED_SAMPLES // SIDE**2 - 1)]
    return pictures.jpeg(SIDE, SIDE, scans, symbol=0xF0)


def jpeg_colours() -> bytes:
    """Three components, none subsampled, refined in turn."""
    return pictures.scan_bomb(SIDE, SIDE, (MAX_SCANNED_SAMPLES - 3 * SIDE**2) // SIDE**2 + 1, 3)


def jpeg_small_scans() -> bytes:
    """As many scans as are taken."""
    side = int((MAX_SCANNED_SAMPLES / MAX_SCANS) ** 0.5)
    return pictures.scan_bomb(side, side, MAX_SCANS)


def png_blocks() -> bytes:
    """14.9 MB of deflate blocks that are empty, each with Huffman tables of its own."""
    return pictures.png(SMALLER, SMALLER, data=pictures.chunk(b"IDAT", empty_blocks(14_900_000)))


def empty_blocks(size: int) -> bytes:
    """A zlib stream, unfinished."""
    bits = "001" + "00000" * 2 + "0111"  # dynamic; 257 and 1 codes, 18 lengths of code lengths
    order = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1)
    bits += "".join("100" if symbol in {18, 1} else "000" for symbol in order)
    bits += "1" + f"{138 - 11:07b}"[::-1] + "1" + f"{118 - 11:07b}"[::-1] + "000"
    eight = bits * 8
    block = bytes(int(eight[at : at + 8][::-1], 2) for at in range(0, len(eight), 8))
    return b"\x78\x01" + block * (size // len(block))


def saved(kind: str, mode: str = "RGB", **options: object) -> bytes:
    """40 megapixels of noise that was blown up, as Pillow writes them."""
    prepare_decoders()
    small = Image.effect_noise((SIDE // 8, SIDE // 8), 90).convert(mode)
    if mode == "RGBA":
        small.putalpha(Image.linear_gradient("L").resize(small.size))
    out = io.BytesIO()
    small.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(out, kind, **options)
    return out.getvalue()


CASES: dict[str, Callable[[], bytes]] = {
    "JPEG, a photograph of 10 scans": lambda: saved("JPEG", quality=80, progressive=True),
    "JPEG, empty scans at 40 MP": jpeg_scans,
    "JPEG, coded scans at 40 MP": jpeg_codes,
    "JPEG, three components": jpeg_colours,
    "JPEG, 64 scans": jpeg_small_scans,
    "JPEG, not progressive, a scan of one component": lambda: pictures.sequential_bomb(
        SIDE, SIDE, 1
    ),
    "JPEG, EXIF of 65,000 tags": lambda: pictures.exif_flood(8, 8, 65_000),
    "PNG, RGB": lambda: pictures.png(SIDE, SIDE, line_filter=4),
    "PNG, 16-bit RGB, Paeth": lambda: pictures.png(SIDE, SIDE, depth=16, line_filter=4),
    "PNG, 16-bit RGBA, Paeth": lambda: pictures.png(
        SMALLER, SMALLER, depth=16, colour=6, line_filter=4
    ),
    "PNG, 16-bit RGBA, interlaced": lambda: pictures.png(
        SMALLER, SMALLER, depth=16, colour=6, line_filter=4, interlaced=True
    ),
    "PNG, 16-bit grey": lambda: pictures.png(SIDE, SIDE, depth=16, colour=0),
    "PNG, palette": lambda: pictures.png(SIDE, SIDE, colour=3),
    "PNG, empty deflate blocks": png_blocks,
    "PNG, chunks of data": lambda: pictures.png_data_flood(8, 8, MAX_DATA_CHUNKS - 1),
    "PNG, other chunks": lambda: pictures.png_chunk_flood(8, 8, MAX_OTHER_CHUNKS - 2),
    "PNG, packed texts": lambda: pictures.png_text_bomb(8, 8, MAX_PACKED_TEXTS - 1),
    "PNG, packed profile": lambda: pictures.png_profile_flood(8, 8, 1),
    "WebP, lossy": lambda: saved("WEBP", quality=80),
    "WebP, lossy with alpha": lambda: saved("WEBP", "RGBA", quality=80),
    "WebP, lossless": lambda: webp_pictures.webp(webp_pictures.vp8l_flat(SIDE, SIDE)),
    "WebP, tables and small pictures": lambda: webp_pictures.webp(
        webp_pictures.vp8l_tables(2520, 2520, MAX_GROUPS)
    ),
    "AVIF, 4:2:0": lambda: saved("AVIF", quality=80, speed=10),
    "AVIF, 4:4:4": lambda: saved("AVIF", quality=95, speed=10, subsampling="4:4:4"),
    "AVIF with alpha": lambda: saved("AVIF", "RGBA", quality=80, speed=10),
    "HEIC": lambda: saved("HEIF", quality=80),
    "HEIC, tiles": lambda: saved("HEIF", quality=80, tile_size=512),
    "HEIC with alpha": lambda: saved("HEIF", "RGBA", quality=80),
    "GIF": lambda: pictures.gif(SIDE, SIDE),
    "GIF, blocks": lambda: pictures.gif_block_flood(8, 8, MAX_BLOCKS - 2),
    "BMP": lambda: saved("BMP", "1"),
    "TIFF, LZW": lambda: saved("TIFF", "1", compression="tiff_lzw"),
    "TIFF, Deflate": lambda: pictures.tiff_flat(SIDE, SIDE),
    "TIFF, 16-bit RGB": lambda: pictures.tiff_flat(SIDE, SIDE, samples=3, depth=16),
    "TIFF, a strip a line": lambda: pictures.tiff_flat(1415, 28_000, rows=1),
    "TIFF, tiles": lambda: pictures.tiff_tile_flood(SIDE, SIDE, 48),
    "TIFF, tags": lambda: pictures.tiff_tag_flood(8, 8, MAX_TAGS - 9),
}


def memory_mb(name: str) -> float:
    """A line of this process's status: VmRSS is now, VmHWM the most since it was reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def measure(case: str, read: str) -> None:
    """One reading, in this process: prints a line for `main`."""
    data = CASES[case]()
    inspect_image(pictures.png(8, 8))  # what Pillow loads
    Path("/proc/self/clear_refs").write_text("5")
    before_mb, before_s, answer = memory_mb("VmRSS"), time.process_time(), "read"
    try:
        READS[read](data)
    except StudioError as error:
        answer = error.detail
    duration_s, more_mb = time.process_time() - before_s, memory_mb("VmHWM") - before_mb
    print(f"{len(data)}\t{duration_s:.3f}\t{more_mb:.0f}\t{answer}")


def measured(case: str, read: str) -> tuple[int, float, float, str]:
    """Bytes of the file, CPU seconds, megabytes, and how it ended."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.files.picture_bounds"]
    lines = [
        subprocess.run(
            [*command, "--case", case, "--read", read], check=True, capture_output=True, text=True
        ).stdout.strip().split("\t")
        for _ in range(TURNS)
    ]  # fmt: skip
    size, _, more_mb, answer = min(lines, key=lambda line: float(line[1]))
    return int(size), min(float(line[1]) for line in lines), float(more_mb), answer


def rows(cases: list[str]) -> list[str]:
    """The table."""
    lines = [
        "| picture | bytes | " + " | ".join(f"{name}: s | MB" for name in READS) + " | answer |",
        "|---|---|" + "---|---|" * len(READS) + "---|",
    ]
    for case in cases:
        reads = [measured(case, read) for read in READS]
        figures = " | ".join(f"{duration_s:.2f} | {mb:.0f}" for _, duration_s, mb, _ in reads)
        lines.append(f"| {case} | {reads[0][0]:,} | {figures} | {reads[0][3]} |")
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Measures and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--read", choices=READS)
    parser.add_argument("--only", default="", help="names that contain this; writes no table")
    args = parser.parse_args()
    if args.case:
        measure(args.case, args.read)
        return
    cases = [case for case in CASES if args.only in case]
    lines = rows(cases)
    if args.only:
        return
    title = (
        f"# The worst pictures that are decoded\n\n`python -m benchmarks.files.picture_bounds` on"
        f" {today()}, Pillow {PIL.__version__}. Hand-made files at the bounds of"
        f" `models/bounds/`: CPU seconds and megabytes of memory,"
        " the decoded picture included (160 MB of 40 megapixels of RGB).\n"
    )
    keep("picture_bounds", [title, *lines])


if __name__ == "__main__":
    main()
