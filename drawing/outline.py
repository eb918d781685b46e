"""The pieces of a drawn garment, and the geometry that they are built from.

Coordinates are the garment's own: x to the right, y down, both about -1 to 1.
"""

from dataclasses import dataclass, replace
from math import cos, radians, sin

from numpy.random import Generator

Point = tuple[float, float]


@dataclass(frozen=True)
class Part:
    """One painted piece: a closed outline, or with `width` an open line.

    ink: "main" (patterned cloth), "plain" (the main colour), "accent", "inside", "metal", "sole",
    or "seam" (only darkens the parts below). turn: the rotation of its pattern in degrees.
    tone: brightness. sleeve: whether it follows an arm.
    """

    points: list[Point]
    ink: str = "main"
    turn: float = 0.0
    tone: float = 1.0
    width: float = 0.0
    sleeve: bool = False


def smooth(points: list[Point], rounds: int = 2) -> list[Point]:
    """Chaikin's corner cutting of a closed outline; a repeated point stays a corner."""
    for _ in range(rounds):
        cut: list[Point] = []
        for (ax, ay), (bx, by) in zip(points, points[1:] + points[:1], strict=True):
            cut.append((0.75 * ax + 0.25 * bx, 0.75 * ay + 0.25 * by))
            cut.append((0.25 * ax + 0.75 * bx, 0.25 * ay + 0.75 * by))
        points = cut
    return points


def mirror(points: list[Point]) -> list[Point]:
    """The points, mirrored at the vertical axis."""
    return [(-x, y) for x, y in points]


def closed(half: list[Point]) -> list[Point]:
    """A symmetric outline from its right half, which runs from the top to the bottom middle."""
    return smooth(half + mirror(half)[::-1])


def both(part: Part) -> list[Part]:
    """The part and its mirror image."""
    return [part, replace(part, points=mirror(part.points), turn=-part.turn)]


def seam(*points: Point, width: float = 0.014, tone: float = 0.72) -> Part:
    """A line that only darkens."""
    return Part(list(points), "seam", tone=tone, width=width)


def box(x0: float, y0: float, x1: float, y1: float) -> list[Point]:
    """A rectangle's corners."""
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def disc(x: float, y: float, r: float, ink: str) -> Part:
    """A filled circle."""
    angles = [radians(a) for a in range(0, 360, 30)]
    return Part([(x + r * cos(a), y + r * sin(a)) for a in angles], ink)


def uniform(style: Generator, low: float, high: float) -> float:
    """A random number between low and high."""
    return float(style.uniform(low, high))


def chance(style: Generator, share: float) -> bool:
    """True with this probability."""
    return bool(style.random() < share)
