"""Draws flat-lay pictures of garments procedurally: the demo catalogue and training material."""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, radians, sin

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from drawing.backdrop import lay_on_backdrop
from drawing.fabric import (
    SHADES,
    Plane,
    Rgb,
    Weave,
    choose_inks,
    choose_weave,
    second_colour,
)
from drawing.garments.accessories import bag, shoes
from drawing.garments.bottoms import shorts, skirt, trousers
from drawing.garments.tops import dress, jacket, shirt, t_shirt
from drawing.outline import Part, Point

BUILDERS: dict[str, Callable[[Generator], list[Part]]] = {
    "t-shirt": t_shirt, "shirt": shirt, "dress": dress, "skirt": skirt, "trousers": trousers,
    "shorts": shorts, "jacket": jacket, "shoes": shoes, "bag": bag,
}  # fmt: skip
CATEGORIES: tuple[str, ...] = tuple(BUILDERS)
COLOURS: tuple[str, ...] = tuple(SHADES)
PATTERNS: tuple[str, ...] = ("plain", "striped", "dotted", "checked")

OVERSAMPLE = 2
NEUTRAL = 128  # the shade plane's value for "as bright as the ink"


@dataclass(frozen=True)
class Garment:
    """One product; style_seed determines its cut, details, exact hues and pattern measures."""

    category: str
    colour: str
    pattern: str = "plain"
    style_seed: int = 0

    def __post_init__(self) -> None:
        if self.category not in CATEGORIES:
            raise ValueError(f"no such category: {self.category!r}")
        if self.colour not in COLOURS or self.pattern not in PATTERNS:
            raise ValueError(f"no such colour or pattern: {self.colour!r}, {self.pattern!r}")


@dataclass(frozen=True)
class Placement:
    """The position of a garment's or body's origin in canvas pixels, its unit in pixels, and its
    rotation in degrees.
    """

    x: float
    y: float
    unit: float
    turn: float

    def to_canvas(self, points: list[Point]) -> list[Point]:
        """Own coordinates -> canvas pixels."""
        c, s = cos(radians(self.turn)) * self.unit, sin(radians(self.turn)) * self.unit
        return [(self.x + c * px - s * py, self.y + s * px + c * py) for px, py in points]

    def to_body(self, columns: NDArray[np.intp], rows: NDArray[np.intp]) -> tuple[Plane, Plane]:
        """Canvas pixels -> own coordinates, for many points at once."""
        c, s = cos(radians(self.turn)) / self.unit, sin(radians(self.turn)) / self.unit
        x, y = columns - np.float32(self.x), rows - np.float32(self.y)
        return np.asarray(c * x + s * y, np.float32), np.asarray(c * y - s * x, np.float32)


def caption(garment: Garment) -> str:
    """The garment in words: "red striped dress", "navy shorts"."""
    pattern = "" if garment.pattern == "plain" else f"{garment.pattern} "
    return f"{garment.colour} {pattern}{garment.category}"


def draw_garment(garment: Garment, size: int = 256, view_seed: int = 0) -> Image.Image:
    """The product's picture, RGB, size x size.

    view_seed determines the properties in which two photographs of a product differ: light,
    rotation, scale, position and background.
    """
    return draw_with_cover(garment, size, view_seed)[0]


def draw_with_cover(
    garment: Garment, size: int = 256, view_seed: int = 0
) -> tuple[Image.Image, Image.Image]:
    """The picture as `draw_garment` draws it, and how much of each pixel the garment covers (L)."""
    style = default_rng([garment.style_seed, CATEGORIES.index(garment.category)])
    inks, weave = choose_inks(garment.colour, style), choose_weave(garment.pattern, style)
    parts = BUILDERS[garment.category](style)
    rng = default_rng([view_seed, garment.style_seed, 1])
    placement = _choose_placement(parts, size * OVERSAMPLE, rng)
    cloth, shade, cover = _paint(parts, placement, inks, weave, size * OVERSAMPLE)
    small = (cloth.reduce(OVERSAMPLE), shade.reduce(OVERSAMPLE), cover.reduce(OVERSAMPLE))
    return lay_on_backdrop(*small, inks["main"], rng), small[2]


def places_in_picture(
    garment: Garment, points: NDArray[np.float32], size: int = 256, view_seed: int = 0
) -> NDArray[np.float32]:
    """Garment coordinates (m, 2) -> x and y in `draw_garment`'s picture, pixels."""
    style = default_rng([garment.style_seed, CATEGORIES.index(garment.category)])
    choose_inks(garment.colour, style)
    choose_weave(garment.pattern, style)  # parts come after these in the style's sequence
    parts = BUILDERS[garment.category](style)
    rng = default_rng([view_seed, garment.style_seed, 1])
    placement = _choose_placement(parts, size * OVERSAMPLE, rng)
    c, s = (
        cos(radians(placement.turn)) * placement.unit,
        sin(radians(placement.turn)) * placement.unit,
    )
    turned = points @ np.array([[c, s], [-s, c]], np.float32)
    origin = np.array([placement.x, placement.y], np.float32)
    return np.asarray((turned + origin) / OVERSAMPLE - 0.5, np.float32)


def _choose_placement(parts: list[Part], canvas: int, rng: Generator) -> Placement:
    """Centres the garment so that it fills most of the canvas, with a little random variation."""
    xs = [x for part in parts for x, _ in part.points]
    ys = [y for part in parts for _, y in part.points]
    extent = max(max(xs) - min(xs), max(ys) - min(ys), 1.35)
    unit = canvas / extent * float(rng.uniform(0.76, 0.9))
    turn = float(np.clip(rng.normal(0, 4), -10, 10))
    centred = Placement(0, 0, unit, turn).to_canvas(
        [((max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2)]
    )
    dx, dy = rng.uniform(0.475, 0.525, 2) * canvas
    return Placement(float(dx) - centred[0][0], float(dy) - centred[0][1], unit, turn)


def _paint(
    parts: list[Part], placement: Placement, inks: dict[str, Rgb], weave: Weave, canvas: int
) -> tuple[Image.Image, Image.Image, Image.Image]:
    """Paints the parts in order into colour (RGB), brightness (L) and coverage (L) planes.

    Colour is zero outside the garment, so that it stays premultiplied when reduced.
    """
    ids, shade = Image.new("L", (canvas, canvas)), Image.new("L", (canvas, canvas), NEUTRAL)
    for number, part in enumerate(parts, 1):
        paint_part(ImageDraw.Draw(ids), ImageDraw.Draw(shade), part, number, placement, 0.012, 0.7)
    number_of = np.asarray(ids)
    table = np.zeros((256, 3), np.uint8)
    table[1 : len(parts) + 1] = [inks.get(part.ink, (0, 0, 0)) for part in parts]
    cloth = table[number_of]
    if weave.pattern != "plain":
        _weave_in(cloth, number_of, parts, placement, weave, inks)
    cover = Image.fromarray((number_of > 0).astype(np.uint8) * 255)
    return Image.fromarray(cloth), shade, cover


def paint_part(
    ids: ImageDraw.ImageDraw, shade: ImageDraw.ImageDraw, part: Part, number: int,
    placement: Placement, rim: float, dark: float,
) -> None:  # fmt: skip
    """Paints one part into the id plane and the brightness plane, with a soft dark rim.

    rim: the rim's width in the placement's units; dark: its brightness relative to the part.
    """
    points = placement.to_canvas(part.points)
    tone = min(255, round(NEUTRAL * part.tone))
    if part.width:
        width = max(1, round(part.width * placement.unit))
        if part.ink != "seam":
            ids.line(points, fill=number, width=width, joint="curve")
        shade.line(points, fill=tone, width=width, joint="curve")
        return
    ids.polygon(points, fill=number)
    shade.polygon(points, fill=tone)
    outline = [*points, points[0]]
    shade.line(outline, fill=round(tone * dark), width=max(1, round(rim * placement.unit)))


def _weave_in(
    cloth: NDArray[np.uint8], number_of: NDArray[np.uint8], parts: list[Part], placement: Placement,
    weave: Weave, inks: dict[str, Rgb],
) -> None:  # fmt: skip
    """Blends the pattern's second colour into every part of patterned cloth, in place."""
    main, accent = (np.array(inks[ink], np.float32) for ink in ("main", "accent"))
    patterned = np.array([False, *(part.ink == "main" for part in parts)])
    turns = np.array([0.0, *(part.turn for part in parts)]) + placement.turn
    rows, columns = np.nonzero(patterned[number_of])
    angle = np.radians(turns[number_of[rows, columns]]).astype(np.float32)
    x = (columns.astype(np.float32) - np.float32(placement.x)) / np.float32(placement.unit)
    y = (rows.astype(np.float32) - np.float32(placement.y)) / np.float32(placement.unit)
    c, s = np.cos(angle), np.sin(angle)
    share = second_colour(weave, c * x + s * y, c * y - s * x)
    cloth[rows, columns] = main + (accent - main) * share[:, None]
