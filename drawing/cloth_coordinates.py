"""Maps points of worn cloth to garment coordinates, so that patterns follow the cloth."""

from collections.abc import Callable
from itertools import pairwise
from math import hypot

import numpy as np

from drawing.fabric import Plane
from drawing.outline import Point

ToGarment = Callable[[Plane, Plane], tuple[Plane, Plane]]
"""Body coordinates (x, y) of points of cloth -> garment coordinates (u, v)."""


def scaled(unit: float) -> ToGarment:
    """The map of a garment that is only scaled: its unit is `unit` on the body."""

    def to_garment(x: Plane, y: Plane) -> tuple[Plane, Plane]:
        return x / np.float32(unit), y / np.float32(unit)

    return to_garment


def ramp(values: Plane, first: float, length: float) -> Plane:
    """0 up to `first`, 1 from `first + length` on, linear in between."""
    return np.asarray(np.clip((values - first) / length, 0.0, 1.0), np.float32)


def along_arm(line: list[Point], x: Plane, y: Plane) -> tuple[Plane, Plane]:
    """For each (x, y): the position of the nearest point along a polyline, and the distance from
    the polyline, positive on the right of its direction.
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
