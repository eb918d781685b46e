"""The 18 classes of human parsing, as published checkpoints number them, and groups of them.

Numbering: ATR (Liang et al. 2015) as `segformer_b2_clothes` and its kin publish it. Left and right
are the wearer's own: the left shoe of someone who faces the camera is on the picture's right.
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from models.segmenter.shapes import Category, Mask


class Atr(IntEnum):
    """A pixel's class."""

    BACKGROUND = 0
    HAT = 1
    HAIR = 2
    SUNGLASSES = 3
    UPPER_CLOTHES = 4
    SKIRT = 5
    PANTS = 6
    DRESS = 7
    BELT = 8
    LEFT_SHOE = 9
    RIGHT_SHOE = 10
    FACE = 11
    LEFT_LEG = 12
    RIGHT_LEG = 13
    LEFT_ARM = 14
    RIGHT_ARM = 15
    BAG = 16
    SCARF = 17


NAMES = (
    "Background", "Hat", "Hair", "Sunglasses", "Upper-clothes", "Skirt", "Pants", "Dress", "Belt",
    "Left-shoe", "Right-shoe", "Face", "Left-leg", "Right-leg", "Left-arm", "Right-arm", "Bag",
    "Scarf",
)  # fmt: skip
"""The labels of a published checkpoint's `id2label`, in order."""

UPPER = frozenset({Atr.UPPER_CLOTHES})
LOWER = frozenset({Atr.SKIRT, Atr.PANTS})
DRESS = frozenset({Atr.DRESS})
SHOES = frozenset({Atr.LEFT_SHOE, Atr.RIGHT_SHOE})
ARMS = frozenset({Atr.LEFT_ARM, Atr.RIGHT_ARM})
LEGS = frozenset({Atr.LEFT_LEG, Atr.RIGHT_LEG})
HEAD = frozenset({Atr.FACE, Atr.HAIR})
HEADWEAR = frozenset({Atr.HAT, Atr.SUNGLASSES})
BODY = HEAD | ARMS | LEGS
"""The classes of a person's body; a flat-lay picture of a garment shows none of them."""
CLOTHES = UPPER | LOWER | DRESS
GARMENTS = CLOTHES | SHOES | {Atr.HAT, Atr.BELT, Atr.BAG, Atr.SCARF, Atr.SUNGLASSES}
PERSON = BODY | GARMENTS
"""The classes of a person's body, clothes and accessories."""

CATEGORIES: Mapping[Category, frozenset[Atr]] = MappingProxyType(
    {"upper": UPPER, "lower": LOWER, "dress": DRESS}
)
"""The classes of each category of garments that a try-on replaces."""

MIRRORED = (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 9, 11, 13, 12, 15, 14, 16, 17)
"""The class of each class in a mirrored picture: left and right change places."""


def mask_of(labels: NDArray[np.uint8], classes: Iterable[Atr]) -> Mask:
    """Where a parse map has one of the classes; the map's shape."""
    return np.isin(labels, sorted(classes))


def category_shares(labels: NDArray[np.integer]) -> dict[Category, float]:
    """The share of labels that belongs to each category; all 0 where there are no labels.

    labels: class numbers of the pixels inside a mask, (n,).
    """
    if not labels.size:
        return dict.fromkeys(CATEGORIES, 0.0)
    return {
        category: float(np.isin(labels, sorted(classes)).mean())
        for category, classes in CATEGORIES.items()
    }


def category_of(label: str) -> Category | None:
    """The category of a class's published name; None for shoes, bags and people."""
    for category, classes in CATEGORIES.items():
        if label in {NAMES[kind] for kind in classes}:
            return category
    return None
