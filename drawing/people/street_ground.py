"""Backdrops of drawn people: studio, wall, park and a street with houses, cars and poles."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from drawing.backdrop import smooth_noise

_DETAIL = 0.5
"""The backdrop's resolution as a share of the picture's; it is out of focus."""


def draw_ground(height: int, width: int, rng: Generator) -> NDArray[np.float32]:
    """(height, width, 3) float32 in 0..255."""
    h, w = max(8, int(height * _DETAIL)), max(8, int(width * _DETAIL))
    kind = str(rng.choice(["plain", "wall", "street", "street", "park"]))
    image = Image.new("RGB", (w, h), _grey(rng, 120, 240))
    brush = ImageDraw.Draw(image)
    horizon = int(h * rng.uniform(0.45, 0.8))
    if kind == "street":
        _houses(brush, w, horizon, rng)
    if kind == "park":
        brush.rectangle((0, 0, w, horizon), fill=_tint((150, 180, 190), rng, 40))
        _blobs(brush, w, horizon, (70, 105, 55), rng, 14)
    if kind != "plain":
        floor = (110, 130, 80) if kind == "park" and rng.random() < 0.5 else _grey(rng, 90, 200)
        brush.rectangle((0, horizon, w, h), fill=_tint(floor, rng, 15))
        for _ in range(int(rng.integers(0, 5))):
            y = int(rng.integers(horizon, h))
            brush.line((0, y, w, y + int(rng.integers(-6, 7))), fill=_grey(rng, 70, 220))
    if kind == "street":
        _cars_and_poles(brush, w, h, horizon, rng)
        _blobs(brush, w, horizon, (70, 100, 55), rng, int(rng.integers(0, 6)))
    blurred = image.filter(ImageFilter.BoxBlur(float(rng.uniform(0.0, 0.012)) * w))
    large = np.asarray(blurred.resize((width, height), Image.Resampling.BILINEAR), np.float32)
    size = max(height, width)
    cells = int(rng.integers(6, 40))
    rough = smooth_noise(size, cells, cells, rng)[:height, :width, None]
    return np.asarray(large * (1 + float(rng.uniform(0.01, 0.07)) * rough), np.float32)


def _houses(brush: ImageDraw.ImageDraw, w: int, horizon: int, rng: Generator) -> None:
    x = 0
    while x < w:
        wide = int(w * rng.uniform(0.2, 0.7)) + 4
        wall = _tint(_grey(rng, 90, 225), rng, 25)
        brush.rectangle((x, int(rng.uniform(-0.2, 0.3) * horizon), x + wide, horizon), fill=wall)
        pane = _tint(tuple(int(c * rng.uniform(0.35, 0.8)) for c in wall), rng, 10)
        step_x, step_y = wide * rng.uniform(0.18, 0.5), horizon * rng.uniform(0.16, 0.4)
        for column in np.arange(x + step_x * 0.2, x + wide - step_x * 0.5, step_x):
            for row in np.arange(step_y * 0.3, horizon - step_y * 0.4, step_y):
                brush.rectangle(
                    (column, row, column + step_x * 0.55, row + step_y * 0.6), fill=pane
                )
        x += wide


def _cars_and_poles(
    brush: ImageDraw.ImageDraw, w: int, h: int, horizon: int, rng: Generator
) -> None:
    for _ in range(int(rng.integers(0, 3))):
        x, long = rng.uniform(-0.2, 0.9) * w, rng.uniform(0.25, 0.5) * w
        high = long * 0.22
        paint = _tint(_grey(rng, 20, 220), rng, 60)
        brush.rounded_rectangle(
            (x, horizon - high, x + long, horizon + high * 0.5), high * 0.3, paint
        )
        brush.rounded_rectangle(
            (x + long * 0.2, horizon - high * 1.7, x + long * 0.8, horizon - high * 0.8),
            high * 0.3, _tint((70, 80, 90), rng, 20),
        )  # fmt: skip
        for wheel in (0.22, 0.78):
            cx, r = x + long * wheel, high * 0.32
            brush.ellipse((cx - r, horizon + high * 0.2, cx + r, horizon + high * 0.84),
                          fill=(25, 25, 28))  # fmt: skip
    for _ in range(int(rng.integers(0, 4))):
        x, thick = int(rng.uniform(0, 1) * w), int(rng.integers(1, 5))
        brush.rectangle((x, int(rng.uniform(-0.3, 0.4) * h), x + thick, horizon + 4),
                        fill=_grey(rng, 30, 200))  # fmt: skip


def _blobs(
    brush: ImageDraw.ImageDraw, w: int, horizon: int, colour: tuple[int, int, int], rng: Generator,
    count: int,
) -> None:  # fmt: skip
    for _ in range(count):
        x, y, r = rng.uniform(0, w), rng.uniform(0, horizon), rng.uniform(0.08, 0.25) * w
        brush.ellipse((x - r, y - r, x + r, y + r), fill=_tint(colour, rng, 25))


def _grey(rng: Generator, low: int, high: int) -> tuple[int, int, int]:
    return _tint((int(rng.integers(low, high)),) * 3, rng, 14)


def _tint(colour: tuple[int, ...], rng: Generator, spread: int) -> tuple[int, int, int]:
    shifted = [min(255, max(0, c + int(rng.integers(-spread, spread + 1)))) for c in colour]
    return shifted[0], shifted[1], shifted[2]
