"""Light, folds, shadow and background of a drawn picture, which differ between two views."""

from functools import lru_cache

import numpy as np
from numpy.random import Generator, default_rng
from PIL import Image, ImageChops, ImageFilter

from drawing.fabric import Plane, Rgb

_GROUNDS: tuple[tuple[Rgb, str], ...] = (
    ((236, 234, 230), "studio"), ((222, 226, 230), "studio"), ((233, 224, 212), "studio"),
    ((206, 214, 222), "studio"), ((226, 208, 204), "linen"), ((214, 220, 206), "linen"),
    ((228, 222, 210), "linen"), ((190, 196, 204), "linen"), ((196, 160, 120), "wood"),
    ((168, 128, 92), "wood"), ((214, 190, 158), "wood"), ((150, 146, 142), "carpet"),
    ((176, 164, 150), "carpet"), ((204, 200, 192), "tiles"), ((182, 184, 186), "tiles"),
)  # fmt: skip


def lay_on_backdrop(
    cloth: Image.Image, shade: Image.Image, cover: Image.Image, main: Rgb, rng: Generator
) -> Image.Image:
    """Puts painted cloth on a contrasting background, with light, folds and a soft shadow.

    cloth: premultiplied RGB; shade: L, 128 = the ink's own brightness; cover: L coverage. All one
    size. main: the garment's main colour.
    """
    size = cloth.width
    light = light_over(size, rng)
    ground = _ground(size, main, rng)
    dx, dy = (round(float(d) * size) for d in rng.uniform((-0.02, 0.006), (0.02, 0.028)))
    blurred = cover.filter(ImageFilter.BoxBlur(size * 0.02))
    shadow = 1.0 - np.asarray(ImageChops.offset(blurred, dx, dy), np.float32) / 255 * 0.42
    volume = 0.8 + 0.22 * np.asarray(blurred, np.float32) / 255
    alpha = np.asarray(cover, np.float32)[..., None] / 255
    tone = np.asarray(shade, np.float32) / 128 * volume * folds(size, rng)
    painted = np.asarray(cloth, np.float32) + 7.0 * alpha
    picture = painted * tone[..., None] + ground * (shadow[..., None] * (1.0 - alpha))
    picture = picture * light + grain(size)[..., None]
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def _ground(size: int, main: Rgb, rng: Generator) -> Plane:
    """A background whose colour differs clearly from the garment's: (size, size, 3) float32."""
    far = [g for g in _GROUNDS if sum(abs(a - b) for a, b in zip(g[0], main, strict=True)) > 130]
    tint, kind = far[int(rng.integers(len(far)))]
    plane = _texture(kind, size, rng)
    colour = np.array(tint, np.float32) + rng.uniform(-6, 6, 3).astype(np.float32)
    return plane[..., None] * colour


def _texture(kind: str, size: int, rng: Generator) -> Plane:
    """The brightness of a background texture, around 1: (size, size) float32."""
    at = np.arange(size, dtype=np.float32) / size
    if kind == "studio":
        return np.ones((size, size), np.float32)
    if kind == "wood":
        count = int(rng.integers(4, 8))
        board = np.floor(at * count).astype(np.int64)
        tones = rng.uniform(0.92, 1.06, count + 1).astype(np.float32)[board]
        tones = tones * np.where((at * count) % 1 < 0.02 * count * 64 / size, 0.72, 1.0)
        streaks = smooth_noise(size, 3, 40, rng) * np.float32(0.05)
        return np.asarray(tones[:, None] + streaks.T * 1.0, np.float32)
    if kind == "tiles":
        count = int(rng.integers(2, 4))
        joint = (((at + float(rng.random())) * count) % 1 < 0.03).astype(np.float32)
        return np.asarray(1.0 - 0.13 * np.maximum(joint[:, None], joint[None]), np.float32)
    cells = (7, 7) if kind == "linen" else (64, 64)
    return np.asarray(1.0 + 0.05 * smooth_noise(size, *cells, rng), np.float32)


def folds(size: int, rng: Generator) -> Plane:
    """Soft brightness waves of flat cloth, around 1: (size, size) float32."""
    coarse = smooth_noise(size, 4, 5, rng)
    fine = smooth_noise(size, 12, 7, rng)
    return np.asarray(1.0 + 0.045 * coarse + 0.03 * fine, np.float32)


def smooth_noise(size: int, columns: int, rows: int, rng: Generator) -> Plane:
    """Noise of about unit variance, smooth over size/columns by size/rows pixels."""
    grid = rng.standard_normal((rows + 1, columns + 1)).astype(np.float32)
    return np.asarray(Image.fromarray(grid).resize((size, size), Image.Resampling.BICUBIC))


def light_over(size: int, rng: Generator) -> Plane:
    """A linear gradient times a slight colour cast: (size, size, 3) float32 around 1."""
    at = np.linspace(-1, 1, size, dtype=np.float32)
    slope = rng.uniform(-0.07, 0.07, 2).astype(np.float32)
    level = float(rng.uniform(0.93, 1.03))
    warmth = float(rng.uniform(-0.025, 0.025))
    cast = np.array([1 + warmth, 1.0, 1 - warmth], np.float32)
    return np.asarray((level + slope[0] * at[:, None] + slope[1] * at[None])[..., None] * cast)


@lru_cache(maxsize=4)
def grain(size: int) -> Plane:
    """Sensor noise, the same for all pictures of one size: (size, size) float32."""
    return default_rng(5).normal(0, 1.6, (size, size)).astype(np.float32)
