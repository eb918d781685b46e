"""Flat-lay pictures: drawn garments with exact masks, and photographs with a label."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray
from PIL import Image

from drawing.captions import combinations
from drawing.draw import Garment, draw_with_cover
from models.segmenter.atr import Atr
from training.photos.flat_lay_masks import mask_garment
from training.photos.photos import list_photos
from training.photos.street import EITHER_SHOE, GROUND_OR, ON_PERSON

DRAWN_CODES: dict[str, int] = {
    "t-shirt": Atr.UPPER_CLOTHES, "shirt": Atr.UPPER_CLOTHES, "jacket": Atr.UPPER_CLOTHES,
    "dress": Atr.DRESS, "skirt": Atr.SKIRT, "trousers": Atr.PANTS, "shorts": Atr.PANTS,
    "shoes": EITHER_SHOE, "bag": Atr.BAG,
}  # fmt: skip
_FLAT_LAY_LABELS: dict[str, int] = {
    **dict.fromkeys(("T-Shirt", "Longsleeve", "Shirt", "Outwear", "Polo", "Undershirt", "Hoodie",
                     "Blazer", "Top", "Blouse"), 0),
    "Skirt": 1, "Pants": 2, "Shorts": 2, "Dress": 3, "Shoes": 4, "Hat": 5, "Body": 6,
}  # fmt: skip
_GARMENT_CODES: tuple[int, ...] = (
    Atr.UPPER_CLOTHES, Atr.SKIRT, Atr.PANTS, Atr.DRESS, EITHER_SHOE, Atr.HAT, ON_PERSON,
)  # fmt: skip


class FlatLays(NamedTuple):
    """Pictures in memory: pixels (n, h, w, 3) uint8 RGB, codes (n, h, w) uint8 (`street.SETS`)."""

    pixels: NDArray[np.uint8]
    codes: NDArray[np.uint8]


def draw_flat_lays(
    count: int, height: int, width: int, seed: int, held_out: bool = False
) -> FlatLays:
    """Drawn garments on drawn backgrounds, squashed to height x width."""
    rng = default_rng([seed, 77])
    kinds = combinations(held_out=held_out)
    pixels = np.empty((count, height, width, 3), np.uint8)
    codes = np.zeros((count, height, width), np.uint8)
    for at in range(count):
        garment = Garment(*kinds[int(rng.integers(len(kinds)))], style_seed=seed + at)
        picture, cover = draw_with_cover(garment, height, seed + at)
        pixels[at] = np.asarray(picture.resize((width, height), Image.Resampling.BOX))
        inside = np.asarray(cover.resize((width, height), Image.Resampling.BOX)) > 127
        codes[at][inside] = DRAWN_CODES[garment.category]
    return FlatLays(pixels, codes)


def load_flat_lays(folder: Path, splits: set[str], height: int, width: int) -> FlatLays:
    """Labelled photographs, with masks that are estimated from their colours."""
    rows = [row for row in list_photos(folder, splits) if row[1] in _FLAT_LAY_LABELS]
    pixels = np.empty((len(rows), height, width, 3), np.uint8)
    codes = np.empty((len(rows), height, width), np.uint8)
    for at, (file, label) in enumerate(rows):
        with Image.open(folder / file) as photo:
            small = photo.convert("RGB").resize((width, height), Image.Resampling.BOX)
            pixels[at] = np.asarray(small)
        kind = _FLAT_LAY_LABELS[label]
        mask = mask_garment(pixels[at])
        codes[at] = GROUND_OR + kind
        codes[at][mask == 0] = Atr.BACKGROUND
        codes[at][mask == 1] = _GARMENT_CODES[kind]
    return FlatLays(pixels, codes)
