"""The steps from a picture and a prompt to a segment: features, candidates, selection."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from errors import Invalid
from models.segmenter.atr import Atr
from models.segmenter.parsing import Parsing
from models.segmenter.regions import WORKING_SIDE
from models.segmenter.sam import ImageEmbedding
from models.segmenter.shapes import Bbox, Category, Mask, Plane, SegmentPrompt


@dataclass(frozen=True)
class PackedMask:
    """A mask in an eighth of its memory; a replica keeps the features of several pictures."""

    bits: NDArray[np.uint8]
    shape: tuple[int, int]

    @classmethod
    def of(cls, mask: Mask) -> Self:
        """Packs a mask."""
        return cls(np.packbits(mask), (mask.shape[0], mask.shape[1]))

    def unpack(self) -> Mask:
        """The mask: (h, w) bool."""
        count = self.shape[0] * self.shape[1]
        return np.unpackbits(self.bits, count=count).reshape(self.shape).view(np.bool_)


@dataclass(frozen=True)
class PreparedPicture:
    """A decoded picture, resized and normalised for the networks, and its full size.

    pixels: the parser's input. square: SAM's input and the picture's shape inside of it; None
    without a SAM. cutout: the opaque pixels of a picture that is cut out already, at its full size.
    """

    width: int
    height: int
    pixels: Plane
    square: tuple[Plane, tuple[int, int]] | None
    cutout: PackedMask | None = None


@dataclass(frozen=True)
class Features:
    """A picture, encoded once; every prompt is decoded from it.

    size: (height, width) of the masks that are searched, at most WORKING_SIDE. cutout: as in
    `PreparedPicture`.
    """

    parsing: Parsing
    embedding: ImageEmbedding | None
    cutout: PackedMask | None = None
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
class Selection:
    """The candidate that a prompt means, before it is drawn at the picture's size.

    plane: the refined probability. source: "parser" or "sam", the network whose edges it has, or
    "alpha", where the mask is the picture's own.
    """

    candidate: Candidate
    plane: Plane
    source: str


@dataclass(frozen=True)
class Segment:
    """A piece cut out of a picture.

    mask: (height, width) bool at the picture's size. score: the mean probability inside, 0 to 1.
    label: the name of its class. source: as in `Selection`. category_shares: how much of a garment
    is a top, trousers or a dress; empty for people and unnamed objects.
    """

    mask: Mask
    bbox: Bbox
    area: int
    score: float
    label: str
    source: str
    category_shares: Mapping[Category, float] = field(default_factory=dict)


def require_inside(prompt: SegmentPrompt, height: int, width: int) -> None:
    """Checks that points and box lie in the picture and can select a piece.

    Raises:
        Invalid: a point or the box lies outside of the picture, the box is empty, or there are
            points that mark the outside only, and no box.
    """
    for x, y, _ in prompt.points:
        if not (0 <= x < width and 0 <= y < height):
            raise Invalid(f"the point ({x:g}, {y:g}) is outside of the picture, {width} x {height}")
    if prompt.points and prompt.box is None and not any(inside for *_, inside in prompt.points):
        raise Invalid("at least one point must lie inside of the piece that is to be cut out")
    if prompt.box is not None:
        x0, y0, x1, y1 = prompt.box
        if x1 - x0 < 1 or y1 - y0 < 1:
            raise Invalid("the box is empty: give [x0, y0, x1, y1] with x0 < x1 and y0 < y1")
        if not (x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height):
            raise Invalid(f"the box reaches out of the picture, {width} x {height}")


def resize(plane: Plane, size: tuple[int, int]) -> Plane:
    """(h, w) float32 -> (size) float32, bilinear."""
    image = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    resized = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(resized, np.float32)
