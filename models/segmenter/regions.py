"""Cleans masks and takes them apart: connected pieces, holes, boxes, the looser try-on mask."""

from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageFilter
from scipy import ndimage

from models.segmenter.atr import (
    ARMS,
    BODY,
    CATEGORIES,
    DRESS,
    HEAD,
    LEGS,
    LOWER,
    UPPER,
    Atr,
)
from models.segmenter.parsing import Mask, Parsing

Bbox = tuple[int, int, int, int]
"""x, y, width, height in pixels."""
WORKING_SIDE = 640
"""Masks are taken apart at this size at most; the shape of a piece needs no more."""
LEAST_SHARE = 0.0008
"""Pieces below this share of the picture are crumbs."""


def pieces(mask: Mask, least: int) -> list[Mask]:
    """The connected pieces of at least so many pixels, largest first."""
    numbered, count = ndimage.label(mask, structure=np.ones((3, 3), np.uint8))
    if not count:
        return []
    areas = np.bincount(numbered.ravel())
    areas[0] = 0
    order = [int(n) for n in np.argsort(-areas, kind="stable") if areas[n] >= max(1, least)]
    return [np.asarray(numbered == number, np.bool_) for number in order]


def fill_holes(mask: Mask, most: float = 0.02) -> Mask:
    """The mask without holes smaller than this share of it; larger ones belong to the shape.

    A hole is a connected piece of the rest that does not reach the picture's edge.
    """
    numbered, count = ndimage.label(~mask)
    kept = np.zeros(count + 1, np.bool_)
    for edge in (numbered[0], numbered[-1], numbered[:, 0], numbered[:, -1]):
        kept[edge] = True
    kept[0] = True  # the mask itself
    if kept.all():
        return mask
    areas = np.bincount(numbered.ravel())
    filled = (areas <= most * mask.sum()) & ~kept
    return np.asarray(mask | filled[numbered], np.bool_)


def bbox_of(mask: Mask) -> Bbox | None:
    """The mask's bounding box; None where it is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    x, y = int(columns[0]), int(rows[0])
    return x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1


def iou(first: Mask, second: Mask) -> float:
    """Intersection over union; 0 where both are empty."""
    union = int(np.count_nonzero(first | second))
    return float(np.count_nonzero(first & second)) / union if union else 0.0


def agnostic_mask(parsing: Parsing, category: str) -> Mask:
    """What a try-on of "upper", "lower" or "dress" may repaint: (height, width) bool.

    Looser than the garment, so that the old one's outline does not show through the new one: the
    garment and the limbs it may cover, grown by a share of the garment's size, without face, hair
    and hands. Hands are taken for the ends of the arms, below the sleeves. Follows the agnostic
    masks of OOTDiffusion and CatVTON.
    """
    old = {"upper": UPPER | DRESS, "lower": LOWER | DRESS, "dress": UPPER | LOWER | DRESS}[category]
    limbs = {"upper": ARMS, "lower": LEGS, "dress": ARMS | LEGS}[category]
    small = _work_size(parsing)
    garment, over = _at(parsing, CATEGORIES[category] | old, small), _at(parsing, limbs, small)
    if not garment.any():
        return np.zeros((parsing.height, parsing.width), np.bool_)
    reach = max(2, round(0.035 * max(small)))
    loose = _grow(garment, reach) | (_grow(over, max(1, reach // 3)) & _grow(garment, 6 * reach))
    kept = HEAD | {Atr.HAT, Atr.SUNGLASSES, Atr.BAG, Atr.LEFT_SHOE, Atr.RIGHT_SHOE}
    other = {"upper": LOWER, "lower": UPPER, "dress": frozenset[Atr]()}[category]
    loose &= ~_at(parsing, kept | other, small) | garment
    loose &= ~_at(parsing, kept, small)
    loose &= ~_hands(parsing, small)
    return _enlarge(np.asarray(loose, np.bool_), parsing.height, parsing.width)


def _hands(parsing: Parsing, size: tuple[int, int]) -> Mask:
    """The lower ends of both arms: what lies farther from the shoulders than most of the arm."""
    hands = np.zeros(size, np.bool_)
    for arm in (Atr.LEFT_ARM, Atr.RIGHT_ARM):
        skin = _at(parsing, {arm}, size)
        person = _at(parsing, BODY | UPPER | LOWER | DRESS, size)
        found = bbox_of(person)
        if found is None or not skin.any():
            continue
        rows, columns = np.nonzero(skin)
        top = found[1] + 0.2 * found[3]
        far = np.hypot(rows - top, columns - (found[0] + found[2] / 2))
        end = far > far.max() - 0.07 * found[3]
        hands[rows[end], columns[end]] = True
    return hands


def _work_size(parsing: Parsing) -> tuple[int, int]:
    scale = min(1.0, WORKING_SIDE / max(parsing.height, parsing.width))
    return max(1, round(parsing.height * scale)), max(1, round(parsing.width * scale))


def _at(parsing: Parsing, classes: Iterable[Atr], size: tuple[int, int]) -> Mask:
    """A group's mask at a working size."""
    plane = Image.fromarray(parsing.probability(classes))
    resized = plane.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(np.asarray(resized) > 0.5, np.bool_)


def _grow(mask: Mask, by: int) -> Mask:
    """All pixels within `by` of the mask, by a square brush."""
    return np.asarray(ndimage.maximum_filter(mask, size=2 * by + 1), np.bool_)


def _enlarge(mask: Mask, height: int, width: int) -> Mask:
    """A mask at the picture's size, its steps smoothed."""
    image = Image.fromarray(mask.astype(np.uint8) * 255)
    large = image.filter(ImageFilter.BoxBlur(1)).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(np.asarray(large) > 127, np.bool_)
