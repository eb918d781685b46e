"""Shapes of try-on: the garment's picture, and how a person is to be dressed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from PIL import Image

from models.segmenter.shapes import Category, Mask

Quality = Literal["fast", "balanced", "quality"]


@dataclass(frozen=True)
class GarmentPicture:
    """A garment's picture, RGB, and its mask: (height, width), True on the garment."""

    image: Image.Image
    mask: Mask


@dataclass(frozen=True)
class TryOnOptions:
    """How to dress a person.

    category: None lets the pipeline guess it. steps: of diffusion; None takes the quality's
    default. category_shares: how much of the garment is a top, trousers or a dress, where a
    Segmenter has cut it out; None lets the pipeline parse it.
    """

    category: Category | None = None
    quality: Quality = "balanced"
    seed: int = 0
    steps: int | None = None
    category_shares: Mapping[Category, float] | None = None
