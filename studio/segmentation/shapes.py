"""Shapes between the studio and its Segmenter: what is known of a mask that was written."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from models.segmenter.shapes import Bbox, Category


@dataclass(frozen=True)
class SegmentAnswer:
    """A mask in the blob store.

    bbox: x, y, width, height in pixels. area: pixels inside. score: 0 to 1. label: the name of
    what was cut out. version: of the networks. size_bytes: of the blob. category_shares: as in
    `models.segmenter.prompts.Segment`; no caller sees them.
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
