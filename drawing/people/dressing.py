"""Fits the pieces of a flat-lay garment to a body, with the same cut, trims and pattern."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from math import cos, hypot, radians, sin

import numpy as np

from drawing.cloth_coordinates import ToGarment, along_arm, ramp
from drawing.fabric import Plane
from drawing.outline import Part, Point, smooth
from drawing.people.body import BodyShape, along, tube

Map = Callable[[Point], Point]
KINDS: dict[str, str] = {
    "t-shirt": "upper", "shirt": "upper", "jacket": "upper", "dress": "dress", "skirt": "lower",
    "trousers": "lower", "shorts": "lower",
}  # fmt: skip
_ARM = 1.15
"""An arm's length in the units of an upper garment."""


@dataclass(frozen=True)
class FittedGarment:
    """A garment's pieces on the body: torso and legs, and the sleeves of (right, left).

    to_garment, sleeves_to_garment: from body to garment coordinates, so that the pattern stays in
    place on the cloth.
    """

    pieces: list[Part]
    sleeves: tuple[list[Part], list[Part]]
    to_garment: ToGarment
    sleeves_to_garment: tuple[ToGarment, ToGarment]


def wear(category: str, parts: list[Part], body: BodyShape) -> FittedGarment:
    """Fits a garment to a body; parts: from the garment's builder, in garment coordinates."""
    place = {"upper": _upper, "dress": _dress, "lower": _lower}[KINDS[category]]
    mapped, to_garment, unit = place(parts, body, category)
    sleeves: tuple[list[Part], list[Part]] = ([], [])
    flats = [to_garment, to_garment]
    if any(part.sleeve for part in parts):  # caps prevent gaps at the shoulders in any pose
        for side in (0, 1):
            sleeves[side].append(_cap(body, side))
    for part in parts:
        if part.sleeve:
            side = int(sum(x for x, _ in part.points) > 0)
            moved, flats[side] = _along_arm(part, parts, body, side, unit)
            sleeves[side].append(moved)
    pieces = [_moved(part, mapped, unit) for part in parts if not part.sleeve]
    return FittedGarment(pieces, sleeves, to_garment, (flats[0], flats[1]))


def _cap(body: BodyShape, side: int) -> Part:
    """Cloth around the shoulder and the top of the arm."""
    arm, w = body.arms[side], body.limb
    top, end = along(arm, -0.02)[0], along(arm, 0.07)[0]
    return Part(smooth(tube([top, arm[0], end], (w * 0.7, w * 1.35, w * 1.2)), 1), tone=0.93)


def _moved(part: Part, to: Map, unit: float) -> Part:
    points = _dense(part.points, closed=not part.width)
    return replace(part, points=[to(point) for point in points], width=part.width * unit)


def _dense(points: list[Point], closed: bool, step: float = 0.12) -> list[Point]:
    """Adds points along long edges, so that they can bend."""
    ends = [*points, points[0]] if closed else points
    dense: list[Point] = []
    for (ax, ay), (bx, by) in pairwise(ends):
        pieces = max(1, int(hypot(bx - ax, by - ay) / step))
        dense += [(ax + (bx - ax) * i / pieces, ay + (by - ay) * i / pieces) for i in range(pieces)]
    return dense if closed else [*dense, ends[-1]]


def _extent(parts: list[Part], low: float, high: float) -> float:
    """Half the width of all pieces except sleeves between two heights."""
    return max((abs(x) for part in parts if not part.sleeve and part.ink != "seam"
                for x, y in part.points if low <= y <= high), default=0.5)  # fmt: skip


def _upper(parts: list[Part], body: BodyShape, category: str) -> tuple[Map, ToGarment, float]:
    unit = (body.crotch_y - body.neck_y) / 1.45
    wide = _extent(parts, -0.75, -0.25)
    across = (body.shoulder + 0.012) * (0.86 + 0.3 * wide) / wide
    if category == "jacket":
        across *= 1.06

    def to(point: Point) -> Point:
        x, y = point
        fit = 1.0 - 0.1 * max(0.0, min(1.0, (y + 0.3) / 0.5)) * (body.hip < body.shoulder)
        return x * across * fit, body.neck_y + (y + 0.8) * unit

    def to_garment(x: Plane, y: Plane) -> tuple[Plane, Plane]:
        v = (y - body.neck_y) / unit - 0.8
        return x / (across * (1.0 - 0.1 * ramp(v, -0.3, 0.5) * (body.hip < body.shoulder))), v

    return to, to_garment, unit


def _dress(parts: list[Part], body: BodyShape, category: str) -> tuple[Map, ToGarment, float]:
    upper = (body.waist_y - body.neck_y) / 0.8
    lower = (body.ankle_y - body.waist_y) / 1.75
    chest, waist = _extent(parts, -0.6, -0.45), _extent(parts, -0.3, 0.0)
    over_chest, over_waist = (body.shoulder - 0.004) / chest, (body.waist + 0.012) / waist
    over_hip = max(over_waist, (body.hip + 0.014) / (waist + 0.1))

    def to(point: Point) -> Point:
        x, y = point
        if y < -0.15:
            share = max(0.0, min(1.0, (y + 0.55) / 0.4))
            return x * (over_chest + (over_waist - over_chest) * share), body.neck_y + (
                y + 0.95
            ) * upper
        share = min(1.0, (y + 0.15) / 0.25)
        return x * (over_waist + (over_hip - over_waist) * share), body.waist_y + (y + 0.15) * lower

    def to_garment(x: Plane, y: Plane) -> tuple[Plane, Plane]:
        above, below = (y - body.neck_y) / upper - 0.95, (y - body.waist_y) / lower - 0.15
        v = np.where(y < body.waist_y, above, below)
        wide = over_chest + (over_waist - over_chest) * ramp(v, -0.55, 0.4)
        wide = wide + (over_hip - over_waist) * ramp(v, -0.15, 0.25)
        return x / wide, np.asarray(v, np.float32)

    return to, to_garment, upper


def _lower(parts: list[Part], body: BodyShape, category: str) -> tuple[Map, ToGarment, float]:
    unit = (body.ankle_y - body.waist_y) / 1.84
    top = min(y for part in parts for _, y in part.points)
    waist = _extent(parts, top, top + 0.12)
    narrow, broad = (body.waist + 0.008) / waist, (body.hip + 0.012) / (waist + 0.08)

    def skirted(point: Point) -> Point:
        x, y = point
        share = max(0.0, min(1.0, (y - top - 0.05) / 0.35))
        return x * (narrow + (broad - narrow) * share), body.waist_y + (y - top) * unit

    def wide_at(v: Plane) -> Plane:
        return np.asarray(narrow + (broad - narrow) * ramp(v, top + 0.05, 0.35), np.float32)

    def to_garment(x: Plane, y: Plane) -> tuple[Plane, Plane]:
        v = (y - body.waist_y) / unit + top
        return x / wide_at(v), v

    if category == "skirt":
        return skirted, to_garment, unit
    bottom = max(y for part in parts for _, y in part.points)
    outer = _extent(parts, bottom - 0.06, bottom + 0.01)
    inner = min((abs(x) for part in parts if part.ink != "seam" for x, y in part.points
                 if bottom - 0.05 <= y), default=0.1)  # fmt: skip
    hem_middle, crotch = (outer + inner) / 2, top + 0.56

    def legged(point: Point) -> Point:
        x, y = point
        sx, sy = skirted(point)
        share = max(0.0, min(1.0, (y - crotch + 0.12) / 0.34))
        if share == 0.0:
            return sx, sy
        side = int(x > 0)
        line = body.legs[side]
        (lx, _), _ = along(line, max(0.0, (sy - line[0][1]) * 1.003))
        down = max(0.0, min(1.0, (y - crotch) / max(0.05, bottom - crotch)))
        middle = (waist + 0.08) / 2 + (hem_middle - (waist + 0.08) / 2) * down
        legs = lx + (abs(x) - middle) * (1 if side else -1) * broad
        return sx + (legs - sx) * share, sy

    def flat_leg(x: Plane, y: Plane) -> tuple[Plane, Plane]:
        v = (y - body.waist_y) / unit + top
        share, down = ramp(v, crotch - 0.12, 0.34), ramp(v, crotch, max(0.05, bottom - crotch))
        side = np.where(x > 0, 1.0, -1.0)
        middle = (waist + 0.08) / 2 + (hem_middle - (waist + 0.08) / 2) * down
        legs = np.where(x > 0, *(_column(body.legs[side], y) for side in (1, 0)))
        off = np.abs(x) - share * (side * legs - middle * broad)
        u = side * off / (wide_at(v) * (1 - share) + broad * share)
        return np.asarray(u, np.float32), np.asarray(v, np.float32)

    return legged, flat_leg, unit


def _column(line: list[Point], y: Plane) -> Plane:
    """The x of a leg's line at each height."""
    xs, ys = zip(*line, strict=True)
    return np.asarray(np.interp(y, ys, xs), np.float32)


def _along_arm(
    part: Part, parts: list[Part], body: BodyShape, side: int, unit: float
) -> tuple[Part, ToGarment]:
    """A sleeve's piece along the bent arm, and its map to garment coordinates."""
    sign = 1 if side else -1
    first = next(other for other in parts if other.sleeve and other.turn)  # the right-hand sleeve
    angle = radians(first.turn + 90.0)
    direction, normal = (cos(angle), sin(angle)), (-sin(angle), cos(angle))
    outline = first.points
    start = (min(x for x, _ in outline) + 0.06, min(y for _, y in outline))
    sleeve = [((x - start[0]) * direction[0] + (y - start[1]) * direction[1],
               (x - start[0]) * normal[0] + (y - start[1]) * normal[1])
              for x, y in outline]  # fmt: skip
    length = max(a for a, _ in sleeve)
    end_width = max((c for a, c in sleeve if a > length - 0.08), default=0.2)
    arm = body.arms[side]
    reach = hypot(arm[1][0] - arm[0][0], arm[1][1] - arm[0][1]) + hypot(
        arm[2][0] - arm[1][0], arm[2][1] - arm[1][1]
    )
    along_scale = reach / _ARM
    half = max(body.limb * 1.12, end_width * unit * 0.52)

    def to(point: Point) -> Point:
        x, y = abs(point[0]) - start[0], point[1] - start[1]
        a, c = x * direction[0] + y * direction[1], x * normal[0] + y * normal[1]
        (px, py), (dx, dy) = along(arm, max(-0.015, a * along_scale))
        off = (c / max(0.05, end_width) - 0.5) * 2 * half
        off = min(off, half * (1.0 + 0.9 * max(0.0, 1.0 - a / 0.5)))
        # "inward" is towards the body's middle line for an arm that hangs
        nx, ny = -dy * sign, dx * sign
        return px + nx * off, py + ny * off

    def to_garment(x: Plane, y: Plane) -> tuple[Plane, Plane]:
        a, off = along_arm(arm, x, y)
        a, c = a / along_scale, (off * sign / half / 2 + 0.5) * end_width
        u = start[0] + a * direction[0] + c * normal[0]
        v = start[1] + a * direction[1] + c * normal[1]
        return np.asarray(sign * u, np.float32), np.asarray(v, np.float32)

    return _moved(part, to, unit), to_garment
