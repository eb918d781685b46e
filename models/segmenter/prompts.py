"""What is asked of a segmenter, what it sees of a picture, and what it answers."""

from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from errors import Invalid
from models.segmenter.atr import Atr
from models.segmenter.parsing import Mask, Parsing, Plane
from models.segmenter.regions import WORKING_SIDE, Bbox
from models.segmenter.sam import Embedding

TARGETS = ("garment", "upper", "lower", "dress", "person")


@dataclass(frozen=True)
class Ask:
    """What to cut out. points: (x, y, inside?) and box: (x0, y0, x1, y1) in pixels of the picture
    as a viewer shows it; target: one of TARGETS, None where points or box say it.
    """

    target: str | None = None
    points: tuple[tuple[float, float, bool], ...] = ()
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Features:
    """A picture, encoded once: what every prompt on it starts from.

    size: (height, width) to work at.
    """

    parsing: Parsing
    embedding: Embedding | None
    size: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        scale = min(1.0, WORKING_SIDE / max(self.parsing.height, self.parsing.width))
        height = max(1, round(self.parsing.height * scale))
        object.__setattr__(self, "size", (height, max(1, round(self.parsing.width * scale))))


@dataclass(frozen=True)
class Candidate:
    """A piece of the parsing at the working size, and the probability that it was cut from."""

    mask: Mask
    plane: Plane
    classes: frozenset[Atr]


@dataclass(frozen=True)
class Draft:
    """What was found, before it is drawn at the picture's size."""

    found: Candidate
    plane: Plane
    source: str


@dataclass(frozen=True)
class Segment:
    """mask: (height, width) bool at the picture's size. score: the mean probability inside, 0 to
    1. label: the words for its class. source: "parser" or "sam", whoever drew the edges.
    """

    mask: Mask
    bbox: Bbox
    area: int
    score: float
    label: str
    source: str


def require_inside(ask: Ask, height: int, width: int) -> None:
    """Raises:
    Invalid: a point or the box lies outside of the picture, or no point is to be inside.
    """
    for x, y, _ in ask.points:
        if not (0 <= x < width and 0 <= y < height):
            raise Invalid(f"the point ({x:g}, {y:g}) is outside of the picture, {width} x {height}")
    if ask.points and ask.box is None and not any(inside for *_, inside in ask.points):
        raise Invalid("at least one point must be inside of what is to be cut out")
    if ask.box is not None:
        x0, y0, x1, y1 = ask.box
        if x1 - x0 < 1 or y1 - y0 < 1:
            raise Invalid("the box is empty: give [x0, y0, x1, y1] with x0 < x1 and y0 < y1")
        if not (x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height):
            raise Invalid(f"the box reaches out of the picture, {width} x {height}")


def resize(plane: Plane, size: tuple[int, int]) -> Plane:
    """(h, w) float32 -> (size) float32, bilinear."""
    image = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    resized = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(resized, np.float32)
