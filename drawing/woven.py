"""From a point of worn cloth back to the flat garment: a pattern goes where its cloth goes."""

from collections.abc import Callable
from itertools import pairwise
from math import hypot

import numpy as np
from numpy.typing import NDArray

from drawing.outline import Point

Plane = NDArray[np.float32]
Flat = Callable[[Plane, Plane], tuple[Plane, Plane]]
"""Body coordinates (x, y) of points of cloth -> garment coordinates (u, v)."""


def scaled(unit: float) -> Flat:
    """A garment that is merely enlarged, one of its units measuring `unit` on the body."""

    def flat(x: Plane, y: Plane) -> tuple[Plane, Plane]:
        return x / np.float32(unit), y / np.float32(unit)

    return flat


def ramp(at: Plane, first: float, length: float) -> Plane:
    """0 up to `first`, 1 from `length` behind it."""
    return np.asarray(np.clip((at - first) / length, 0.0, 1.0), np.float32)


def along_arm(line: list[Point], x: Plane, y: Plane) -> tuple[Plane, Plane]:
    """How far along a bent line its nearest point to each (x, y) is, and how far off to the right
    of the way (x, y) lies.
    """
    best = np.full(x.shape, np.inf, np.float32)
    where, off = np.zeros_like(best), np.zeros_like(best)
    before = 0.0
    for number, ((ax, ay), (bx, by)) in enumerate(pairwise(line)):
        length = hypot(bx - ax, by - ay)
        dx, dy = (bx - ax) / length, (by - ay) / length
        a = (x - ax) * dx + (y - ay) * dy
        c = (y - ay) * dx - (x - ax) * dy
        low = -np.inf if number == 0 else 0.0
        high = np.inf if number == len(line) - 2 else length
        away = np.hypot(a - np.clip(a, low, high), c)
        nearer = away < best
        best[nearer], where[nearer], off[nearer] = away[nearer], before + a[nearer], c[nearer]
        before += length
    return where, off
