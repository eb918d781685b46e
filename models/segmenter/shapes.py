"""Shapes of segmentation: arrays of pictures, prompts, answers, and categories of garments."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""A picture: (h, w, 3) uint8, RGB, upright."""
Mask = NDArray[np.bool_]
"""(h, w) bool, True inside."""
Plane = NDArray[np.float32]
"""One number a pixel: (h, w) float32; a probability from 0 to 1 unless stated otherwise."""
Bbox = tuple[int, int, int, int]
"""x, y, width, height in pixels."""

Category = Literal["upper", "lower", "dress"]
"""The garments that a try-on can replace."""
Target = Literal["garment", "upper", "lower", "dress", "person"]
"""The targets that a prompt can name."""


@dataclass(frozen=True)
class SegmentPrompt:
    """What to cut out of a picture.

    points: (x, y, inside?) and box: (x0, y0, x1, y1), in pixels of the picture as a viewer shows
    it. target: the name of the piece; None if points or a box select it.
    """

    target: Target | None = None
    points: tuple[tuple[float, float, bool], ...] = ()
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class SegmentAnswer:
    """A mask in the blob store.

    bbox: x, y, width, height in pixels. area: pixels inside. score: 0 to 1. label: the name of the
    piece. version: of the networks. size_bytes: of the blob. category_shares: as in
    `models.segmenter.prompts.Segment`; responses to callers do not contain them.
    """

    width: int
    height: int
    area: int
    bbox: Bbox
    score: float
    label: str
    version: str
    size_bytes: int
    category_shares: Mapping[Category, float] = field(default_factory=dict)
