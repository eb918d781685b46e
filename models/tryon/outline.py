"""Bounds, runs, extreme points and distances in masks, from which landmarks are derived."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.segmenter.shapes import Mask

Points = NDArray[np.float64]
"""Shape (n, 2), float64: x and y in pixels."""


def bounds(mask: Mask) -> tuple[int, int, int, int]:
    """First and last column and row of a mask that isn't empty: x0, y0, x1, y1, inclusive."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def largest_part(mask: Mask) -> Mask:
    """The largest connected component (8 neighbours) with its holes filled; empty if empty."""
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    if count == 0:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    filled: Mask = ndimage.binary_fill_holes(labels == sizes.argmax())
    return filled


def runs(row: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Stretches of True in one row: first and last index of each, from left to right."""
    steps = np.diff(np.concatenate(([0], row.astype(np.int8), [0])))
    starts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1) - 1
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def central_run(row: NDArray[np.bool_], x: float) -> tuple[int, int] | None:
    """The stretch that contains x or is nearest to it; None where the row is empty."""
    stretches = runs(row)
    if not stretches:
        return None
    return min(stretches, key=lambda run: max(run[0] - x, x - run[1], 0.0))


def extreme(mask: Mask, direction: tuple[float, float]) -> Points:
    """The mask's farthest point in a direction (x, y); the mean where several are equally far.

    Shape (2,).
    """
    rows, columns = np.nonzero(mask)
    reach = columns * direction[0] + rows * direction[1]
    far = reach >= reach.max() - 0.5
    return np.array([columns[far].mean(), rows[far].mean()])


def travel(mask: Mask, start: Points, limit: int = 2000) -> NDArray[np.float64]:
    """The geodesic distance of each pixel of the mask from `start`; inf for unreachable pixels.

    Steps alternate between four and eight neighbours, so that fronts grow as octagons.
    """
    distance = np.full(mask.shape, np.inf)
    if not mask.any():
        return distance
    x0, y0, x1, y1 = bounds(mask)
    inner = (slice(y0, y1 + 1), slice(x0, x1 + 1))
    distance[inner] = _travel_within(mask[inner], start - (x0, y0), limit)
    return distance


def _travel_within(mask: Mask, start: Points, limit: int) -> NDArray[np.float64]:
    distance = np.full(mask.shape, np.inf)
    rows, columns = np.nonzero(mask)
    nearest = np.hypot(columns - start[0], rows - start[1]).argmin()
    reached = np.zeros_like(mask)
    reached[rows[nearest], columns[nearest]] = True
    distance[reached] = 0.0
    shapes = (ndimage.generate_binary_structure(2, 1), ndimage.generate_binary_structure(2, 2))
    for step in range(1, limit):
        grown = ndimage.binary_dilation(reached, shapes[step % 2]) & mask
        fresh = grown & ~reached
        if not fresh.any():
            break
        distance[fresh] = step * 1.1  # an octagon's mean radius per step
        reached = grown
    return distance


def between(a: Points, b: Points, share: float) -> Points:
    """The point that lies this share of the way from a to b."""
    return a + (b - a) * share
