"""Labelled garments, cut out of street photographs by their parse maps."""

import hashlib
from pathlib import Path

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray
from PIL import Image

from training.photos.colour import name_colour
from training.photos.photos import Photos, split_of

LEAST_PIXELS = 600
MARGIN = 0.12
"""The margin around a garment, as a share of its longer side."""
LABELS: dict[str, str] = {
    "t-shirt": "T-Shirt", "sweater": "Longsleeve", "sweatshirt": "Longsleeve",
    "jumper": "Longsleeve", "cardigan": "Longsleeve", "pants": "Pants", "jeans": "Pants",
    "leggings": "Pants", "shirt": "Shirt", "blouse": "Blouse", "top": "Top", "dress": "Dress",
    "skirt": "Skirt", "shorts": "Shorts", "coat": "Outwear", "jacket": "Outwear",
    "cape": "Outwear", "blazer": "Blazer", "suit": "Blazer", "hat": "Hat", "hoodie": "Hoodie",
    "romper": "Body", "bodysuit": "Body", "bag": "Bag", "purse": "Bag",
    "shoes": "Shoes", "boots": "Shoes", "loafers": "Shoes", "pumps": "Shoes", "sneakers": "Shoes",
    "heels": "Shoes", "sandals": "Shoes", "flats": "Shoes",
}  # fmt: skip
"""The parse maps' labels of garments -> the labels of the clothing photographs."""


def load_street_garments(folder: Path, size: int) -> Photos:
    """Every labelled garment of the annotated photographs, the test split excluded.

    Half of them (by a hash) have a plain backdrop instead of their surroundings.
    """
    names = (folder / "labels.txt").read_text().split()
    garments: list[tuple[str, str, NDArray[np.uint8], str]] = []
    for parse in sorted((folder / "parse").glob("*.png")):
        if split_of(parse.stem) == "test":
            continue
        with Image.open(parse) as labels, Image.open(folder / f"photos/{parse.stem}.jpg") as photo:
            kinds, pixels = np.asarray(labels), np.asarray(photo.convert("RGB"))
        for code in np.flatnonzero(np.bincount(kinds.ravel()) >= LEAST_PIXELS):
            if (label := LABELS.get(names[code])) is None:
                continue
            file, mask = f"{parse.stem}-{names[code]}", kinds == code
            rng = default_rng(int(hashlib.sha256(file.encode()).hexdigest()[:8], 16))
            pictures = _cut_out(pixels, mask, rng, size)
            picture = pictures[int(rng.random() < 0.5)]
            garments.append((file, label, picture, name_colour(pictures[0])))
    return Photos(
        [file for file, *_ in garments], np.stack([pixels for *_, pixels, _ in garments]),
        [label for _, label, *_ in garments], [colour for *_, colour in garments],
    )  # fmt: skip


def _cut_out(
    pixels: NDArray[np.uint8], mask: NDArray[np.bool_], rng: Generator, size: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The garment before a plain backdrop, and in its surroundings; mask: (h, w) as pixels.

    Both have a margin and are squashed to (size, size, 3).
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    margin = round(MARGIN * max(np.ptp(rows), np.ptp(columns)))
    part = (
        slice(max(0, rows[0] - margin), rows[-1] + margin + 1),
        slice(max(0, columns[0] - margin), columns[-1] + margin + 1),
    )
    backdrop = rng.integers(60, 250) + rng.integers(-18, 19, 3)
    plain = np.where(mask[part][..., None], pixels[part], backdrop.clip(0, 255)).astype(np.uint8)
    return _squash(plain, size), _squash(pixels[part], size)


def _squash(picture: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    square = Image.fromarray(picture).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(square, dtype=np.uint8)
