"""Cleans and splits masks: connected pieces, holes, bounding boxes, IoU."""

import numpy as np
from scipy import ndimage

from models.segmenter.shapes import Bbox, Mask

WORKING_SIDE = 640
"""The longest side, in pixels, of masks that are split into pieces."""
LEAST_SHARE = 0.0008
"""Pieces below this share of the picture are ignored."""


def pieces(mask: Mask, least: int) -> list[Mask]:
    """The connected pieces (8 neighbours) of at least `least` pixels, largest first."""
    numbered, count = ndimage.label(mask, structure=np.ones((3, 3), np.uint8))
    if not count:
        return []
    areas = np.bincount(numbered.ravel())
    areas[0] = 0
    order = [int(n) for n in np.argsort(-areas, kind="stable") if areas[n] >= max(1, least)]
    return [np.asarray(numbered == number, np.bool_) for number in order]


def fill_holes(mask: Mask, most: float = 0.02) -> Mask:
    """Fills holes that are smaller than this share of the mask; larger ones belong to the shape.

    A hole is a connected piece of the background that does not reach the picture's edge.
    """
    numbered, count = ndimage.label(~mask)
    is_open = np.zeros(count + 1, np.bool_)
    for edge in (numbered[0], numbered[-1], numbered[:, 0], numbered[:, -1]):
        is_open[edge] = True
    is_open[0] = True  # the mask itself
    if is_open.all():
        return mask
    areas = np.bincount(numbered.ravel())
    filled = (areas <= most * mask.sum()) & ~is_open
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
