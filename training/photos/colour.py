"""Estimates the colour name of the garment in a photograph from its pixels."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
_GRID = 48


def name_colour(picture: Pixels, agreement: float = 0.55) -> str:
    """The garment's colour name, or "" if no colour covers the share `agreement` of it.

    picture: (h, w, 3) uint8 RGB. The border counts as background, and pixels in the middle that
    differ from it count as the garment.
    """
    small = np.asarray(Image.fromarray(picture).resize((_GRID, _GRID), Image.Resampling.BOX))
    garment = garment_pixels(small)
    if len(garment) < 40:
        return ""
    names, counts = np.unique(_name_pixels(garment), return_counts=True)
    best = int(counts.argmax())
    share = counts[best] / len(garment)
    return str(names[best]) if share >= agreement else ""


def garment_pixels(small: Pixels) -> Pixels:
    """Pixels of the middle that differ much from the border's colours: (m, 3) uint8."""
    edge = 4
    border = np.concatenate(
        [
            small[:edge].reshape(-1, 3),
            small[:, :edge].reshape(-1, 3),
            small[:, -edge:].reshape(-1, 3),
        ]
    ).astype(np.float32)
    low, high = _GRID // 4, _GRID - _GRID // 4
    middle = small[low:high, low:high].reshape(-1, 3)
    distance = np.linalg.norm(middle[:, None].astype(np.float32) - border[None, ::3], axis=2)
    nearest = np.partition(distance, 8, axis=1)[:, 8]
    garment: Pixels = middle[nearest > 30.0]
    return garment


def _name_pixels(pixels: Pixels) -> NDArray[np.str_]:
    """A colour name for each pixel: (m, 3) uint8 RGB -> (m,) names."""
    hsv = np.asarray(Image.fromarray(pixels[None]).convert("HSV"))[0].astype(np.int32)
    hue, saturation, value = hsv[:, 0] * 360 // 256, hsv[:, 1], hsv[:, 2]
    bluish = (hue >= 195) & (hue < 262)
    conditions = [
        (value < 52) | ((value < 75) & (saturation < 90) & ~bluish),
        (value < 100) & bluish & (saturation > 60),
        (saturation < 34) & (value > 185),
        saturation < 42,
        ((hue < 12) | (hue >= 345)) & (saturation > 140),
        ((hue < 20) | (hue >= 300)) & (value > 140),
        (hue < 45) & (value < 170),
        (hue < 40) & (saturation > 130),
        (hue >= 40) & (hue < 68) & (saturation > 90),
        (hue >= 68) & (hue < 170),
        bluish,
        (hue >= 262) & (hue < 325),
    ]
    names = [
        "black", "navy", "white", "grey", "red", "pink", "brown", "orange", "yellow", "green",
        "blue", "purple",
    ]  # fmt: skip
    return np.select(conditions, names, default="")
