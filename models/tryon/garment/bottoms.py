"""Landmarks of flat-lay trousers, shorts and skirts, found in the garment's mask."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.segmenter.shapes import Mask
from models.tryon.outline import bounds, runs

ROWS = 6
"""The number of rows on a garment's sides that become landmarks."""


@dataclass(frozen=True)
class Bottom:
    """Trousers, shorts or a skirt.

    sides: (k, 2, 2), left and right edge from the waistband to the hem (of trousers: to the
    crotch). legs: left and right, (m, 2, 2): left and right edge from the crotch to the hem.
    """

    sides: NDArray[np.float64]
    legs: tuple[NDArray[np.float64], NDArray[np.float64]] | None
    mask: Mask


def find_bottom(mask: Mask) -> Bottom:
    """Landmarks of an upright mask; a skirt has no legs."""
    x0, y0, x1, y1 = bounds(mask)
    tall, wide = y1 - y0 + 1, x1 - x0 + 1
    crotch = _find_crotch(mask, y0, y1, wide)
    end = y1 - round(0.02 * tall) if crotch is None else crotch
    rows = np.linspace(y0 + round(0.025 * tall), end, ROWS if crotch is None else 4)
    sides = np.array([_outer_edges(mask, round(y)) for y in rows])
    if crotch is None:
        return Bottom(sides, None, mask)
    middle = _gap_middle(mask, crotch, y1)
    last = y1 - round(0.03 * tall)
    legs = [
        np.array([_leg_edges(mask, round(y), middle, side) for y in np.linspace(crotch, last, 4)])
        for side in (0, 1)
    ]
    return Bottom(sides, (legs[0], legs[1]), mask)


def _find_crotch(mask: Mask, y0: int, y1: int, wide: int) -> int | None:
    """The topmost row below which two legs are separate; None for a skirt."""
    apart = []
    for y in range(y0, y1 + 1):
        legs = [run for run in runs(mask[y]) if run[1] - run[0] > 0.1 * wide]
        apart.append(len(legs) == 2)
    split = np.array(apart)
    if split[round(0.3 * len(split)) :].mean() < 0.2:
        return None
    first = int(np.flatnonzero(split[round(0.25 * len(split)) :])[0]) + round(0.25 * len(split))
    return y0 + first


def _outer_edges(mask: Mask, y: int) -> list[list[float]]:
    """The first and last pixel, as two points, of the nearest row that has any."""
    rows = np.flatnonzero(mask.any(1))
    y = int(rows[np.abs(rows - y).argmin()])
    columns = np.flatnonzero(mask[y])
    return [[float(columns[0]), float(y)], [float(columns[-1]), float(y)]]


def _gap_middle(mask: Mask, crotch: int, y1: int) -> float:
    """The column between the legs."""
    gaps = []
    for y in range(crotch, y1 + 1):
        legs = runs(mask[y])
        if len(legs) >= 2:
            widest = max(range(len(legs) - 1), key=lambda i: legs[i + 1][0] - legs[i][1])
            gaps.append((legs[widest][1] + legs[widest + 1][0]) / 2)
    return float(np.median(gaps[: max(3, len(gaps) // 4)]))


def _leg_edges(mask: Mask, y: int, middle: float, side: int) -> list[list[float]]:
    """Left and right edge of one leg in a row."""
    columns = np.flatnonzero(mask[y])
    own = columns[columns <= middle] if side == 0 else columns[columns > middle]
    if not len(own):
        return [[middle, float(y)], [middle, float(y)]]
    return [[float(own[0]), float(y)], [float(own[-1]), float(y)]]
