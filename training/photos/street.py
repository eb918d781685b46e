"""Street photographs with 59-label maps, converted to ATR classes where that is possible.

Labels such as "skin" or "shoes" don't say which limb or foot they mean. Such pixels get a code
for the set of classes that they may have.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.segmenter.atr import (
    ARMS,
    BODY,
    DRESS,
    LEGS,
    MIRRORED,
    PERSON,
    SHOES,
    UPPER,
    Atr,
)
from training.photos.photos import split_of

FLAT_LAY: tuple[frozenset[Atr], ...] = (
    UPPER, frozenset({Atr.SKIRT}), frozenset({Atr.PANTS}), DRESS, SHOES, frozenset({Atr.HAT}),
    UPPER | DRESS,
)  # fmt: skip
"""The classes that a flat-lay photograph may show beside the background."""
SETS: tuple[frozenset[Atr], ...] = (
    *(frozenset({label}) for label in Atr),
    (BODY - {Atr.HAIR}), ARMS, LEGS, SHOES, LEGS | ARMS, PERSON, frozenset(Atr),
    frozenset({Atr.UPPER_CLOTHES, Atr.PANTS}), UPPER | {Atr.SCARF, Atr.FACE},
    *(frozenset({Atr.BACKGROUND}) | classes for classes in FLAT_LAY),
)  # fmt: skip
"""The classes of each code: codes 0 to 17 are one class, higher ones a set of possible classes."""
SKIN, EITHER_ARM, EITHER_LEG, EITHER_SHOE, LIMB, ON_PERSON, ANYTHING, SUIT, AT_NECK = range(18, 27)
GROUND_OR = 27
"""The first code of "background or the garment", in the order of `FLAT_LAY`."""
Source = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Pixels (n, h, w, 3) uint8 RGB and codes (n, h, w) uint8."""
JACKET = 0.75
"""A "suit" that ends above this share of the figure is a jacket (67 of 69 do; the trousers have a
label of their own); one that reaches further down may be either.
"""
MIRRORED_CODES = np.array([*MIRRORED, *range(18, len(SETS))], np.uint8)

_CODES: dict[str, int] = {
    "null": Atr.BACKGROUND, "hat": Atr.HAT, "hair": Atr.HAIR, "glasses": Atr.SUNGLASSES,
    "sunglasses": Atr.SUNGLASSES, "belt": Atr.BELT, "bag": Atr.BAG, "purse": Atr.BAG,
    "wallet": Atr.BAG, "scarf": Atr.SCARF, "dress": Atr.DRESS, "romper": Atr.DRESS,
    "bodysuit": Atr.DRESS, "swimwear": Atr.DRESS, "skirt": Atr.SKIRT, "suit": SUIT,
    "skin": SKIN, "accessories": ON_PERSON, "bracelet": EITHER_ARM, "ring": EITHER_ARM,
    "gloves": EITHER_ARM, "watch": EITHER_ARM, "earrings": Atr.FACE, "necklace": AT_NECK,
    "tie": AT_NECK, "socks": EITHER_LEG, "stockings": EITHER_LEG, "tights": EITHER_LEG,
    **dict.fromkeys(("jeans", "leggings", "panties", "pants", "shorts"), int(Atr.PANTS)),
    **dict.fromkeys(
        ("boots", "clogs", "flats", "heels", "loafers", "pumps", "sandals", "shoes", "sneakers",
         "wedges"), EITHER_SHOE),
    **dict.fromkeys(
        ("blazer", "blouse", "bra", "cape", "cardigan", "coat", "hoodie", "intimate", "jacket",
         "jumper", "shirt", "sweater", "sweatshirt", "t-shirt", "top", "vest"),
        int(Atr.UPPER_CLOTHES)),
}  # fmt: skip


def ground_truth(
    codes: NDArray[np.uint8], classes: Collection[Atr]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The mask of the classes, and the mask of pixels whose membership is certain, as `codes`.

    A "suit", for example, may be a jacket or trousers, so it is uncertain for upper clothes.
    """
    inside = np.array([code_classes <= set(classes) for code_classes in SETS])
    outside = np.array([code_classes.isdisjoint(classes) for code_classes in SETS])
    return inside[codes], (inside | outside)[codes]


@dataclass(frozen=True)
class Street:
    """Photographs in memory: pixels (n, h, w, 3) uint8 RGB, codes (n, h, w) uint8 (`SETS`)."""

    files: list[str]
    pixels: NDArray[np.uint8]
    codes: NDArray[np.uint8]


def load_street(folder: Path, splits: set[str], height: int, width: int) -> Street:
    """The annotated photographs of these splits, squashed to height x width."""
    files = [p.stem for p in sorted((folder / "parse").glob("*.png")) if split_of(p.stem) in splits]
    pixels = np.empty((len(files), height, width, 3), np.uint8)
    codes = np.empty((len(files), height, width), np.uint8)
    for at, file in enumerate(files):
        photo, code_map = read_street(folder, file)
        small = Image.fromarray(photo).resize((width, height), Image.Resampling.BOX)
        coded = Image.fromarray(code_map).resize((width, height), Image.Resampling.NEAREST)
        pixels[at], codes[at] = np.asarray(small), np.asarray(coded)
    return Street(files, pixels, codes)


def read_street(folder: Path, file: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """One photograph (h, w, 3) and its codes (h, w), at the data set's size."""
    names = (folder / "labels.txt").read_text().split()
    table = np.array([_CODES[name] for name in names], np.uint8)
    with Image.open(folder / f"photos/{file}.jpg") as photo:
        pixels = np.asarray(photo.convert("RGB"))
    with Image.open(folder / f"parse/{file}.png") as parse:
        codes = table[np.asarray(parse)]
    return pixels, assign_sides(codes)


def assign_sides(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Resolves face, limbs, feet and suits by their position, for standing figures that face the
    camera. The wearer's left is on the picture's right; near the middle, the side stays open.
    """
    figure = codes != Atr.BACKGROUND
    if not figure.any():
        return codes
    rows, columns = np.nonzero(figure)
    top, tall = int(rows.min()), max(1, int(np.ptp(rows)))
    core = columns[(rows > top + 0.1 * tall) & (rows < top + 0.5 * tall)]
    middle = float(np.median(core if len(core) else columns))
    y, x = np.mgrid[: codes.shape[0], : codes.shape[1]]
    high, aside = (y - top) / tall, (x - middle) / tall
    resolved = codes.copy()
    suit = codes == SUIT
    if suit.any() and high[suit].max() < JACKET:
        resolved[suit] = Atr.UPPER_CLOTHES
    skin = codes == SKIN
    resolved[skin & (high < 0.18)] = Atr.FACE
    resolved[skin & (high >= 0.18)] = LIMB
    resolved[skin & (high >= 0.22) & (high < 0.42)] = EITHER_ARM
    resolved[skin & (high >= 0.64)] = EITHER_LEG
    resolved[skin & (high >= 0.18) & (high < 0.22) & (np.abs(aside) < 0.06)] = Atr.FACE
    for either, right, left, margin in (
        (EITHER_ARM, Atr.RIGHT_ARM, Atr.LEFT_ARM, 0.05),
        (EITHER_LEG, Atr.RIGHT_LEG, Atr.LEFT_LEG, 0.035),
        (EITHER_SHOE, Atr.RIGHT_SHOE, Atr.LEFT_SHOE, 0.03),
    ):
        resolved[(resolved == either) & (aside < -margin)] = right
        resolved[(resolved == either) & (aside > margin)] = left
    return resolved
