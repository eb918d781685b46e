"""`make proof`: the worst pictures that are decoded take seconds; ordinary ones all pass."""

import io
import secrets
import time
import warnings
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from drawing.hostile import pictures
from drawing.hostile import webp as webp_pictures
from errors import StudioError
from models.bounds.jpeg import MAX_SCANNED_SAMPLES
from models.images import decode_image, inspect_image, public_copy
from tests.models.test_images import encoded

pytestmark = pytest.mark.proof

SIDE = 6320  # squared, just below 40 megapixels
MOST_S = 5.0
"""Seconds of CPU time; `benchmarks/results/picture_bounds.md` has 2 on a quiet machine."""
SCANS = MAX_SCANNED_SAMPLES // SIDE**2
WORST: dict[str, Callable[[], bytes]] = {
    "scans": lambda: pictures.scan_bomb(SIDE, SIDE, SCANS),
    "coded scans": lambda: pictures.jpeg(
        SIDE, SIDE, [pictures.dc_scan(), *[pictures.ac_scan(bytes(600_000))] * (SCANS - 1)],
        symbol=0xF0,
    ),
    "PNG of 16 bits": lambda: pictures.png(SIDE, SIDE, depth=16, line_filter=4),
    "TIFF of 16 bits": lambda: pictures.tiff_flat(SIDE, SIDE, samples=3, depth=16),
    "WebP of tables": lambda: webp_pictures.webp(webp_pictures.vp8l_tables(2520, 2520, 4096)),
    "WebP": lambda: webp_pictures.webp(webp_pictures.vp8l_flat(SIDE, SIDE)),
    "GIF": lambda: pictures.gif(SIDE, SIDE),
}  # fmt: skip


@pytest.mark.parametrize("name", WORST)
def test_the_worst_pictures_are_read_in_time(name: str) -> None:
    data = WORST[name]()
    for read in (inspect_image, decode_image, public_copy):
        before_s = time.process_time()
        read(data)
        assert time.process_time() - before_s < MOST_S


def test_hand_made_pictures_of_any_size_are_read_or_refused_in_time() -> None:
    """Every flood, from a few pieces to many more than are taken."""
    makers: tuple[Callable[[int], bytes], ...] = (
        lambda count: pictures.scan_bomb(2000, 2000, count),
        lambda count: pictures.sequential_bomb(500, 500, count),
        lambda count: pictures.segment_flood(8, 8, count),
        lambda count: pictures.fill_flood(8, 8, count),
        lambda count: pictures.png_chunk_flood(8, 8, count),
        lambda count: pictures.png_data_flood(8, 8, count),
        lambda count: pictures.png_profile_flood(8, 8, count),
        lambda count: pictures.png_text_bomb(8, 8, count),
        lambda count: pictures.png_frame_flood(8, 8, count),
        lambda count: pictures.tiff_tag_flood(8, 8, min(count, 30_000)),
        lambda count: pictures.tiff_ifd_flood(8, 8, count),
        lambda count: pictures.tiff_strip_flood(100, min(count, 2000)),
        lambda count: pictures.gif_block_flood(8, 8, count),
        lambda count: pictures.gif_frame_flood(8, 8, count),
    )
    for make in makers:
        for count in (1, 3, 30, 300, 3000, 30_000):
            data = make(count)[:15_000_000]
            before_s = time.process_time()
            with suppress(StudioError), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                inspect_image(data)
            assert time.process_time() - before_s < MOST_S


def test_a_thousand_lossless_pictures_of_the_usual_encoder_pass() -> None:
    seed = secrets.randbits(32)
    print(f"\nseed {seed}")  # noqa: T201
    random = np.random.default_rng(seed)
    for turn in range(1000):
        width, height = (int(side) for side in random.integers(20, 300, 2))
        pixels = random.integers(0, 256, (max(1, height // 9), max(1, width // 9), 3), np.uint8)
        image = Image.fromarray(pixels).resize((width, height))
        if turn % 3 == 1:
            image = image.quantize(int(random.integers(2, 257))).convert("RGB")
        if turn % 3 == 2:
            image.paste(Image.effect_noise((width // 2, height), 90).convert("RGB"), (0, 0))
        if turn % 2:
            image.putalpha(Image.linear_gradient("L").resize(image.size))
        options = {"method": turn % 7, "quality": int(random.integers(101)), "exact": True}
        if max(image.size) > 20 * min(image.size):
            continue
        data = encoded(image, "WEBP", lossless=turn % 5 > 0, **options)
        expected = Image.open(io.BytesIO(data)).convert("RGB")
        if not turn % 2:
            assert np.array_equal(np.asarray(decode_image(data)), np.asarray(expected))
        assert inspect_image(data).width == image.width
