"""The parse of one picture: class probabilities, the likeliest classes, masks of groups."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.segmenter.atr import Atr, category_shares
from models.segmenter.shapes import Category, Mask, Plane


@dataclass(frozen=True)
class Parsing:
    """Probabilities (18, h, w) float32 at the network's resolution, for a picture of height, width.

    Planes are enlarged one at a time and only when they are needed, so that a photograph of 12
    megapixels takes the memory of two full-size planes instead of eighteen.
    """

    probabilities: NDArray[np.float32]
    height: int
    width: int

    @cached_property
    def labels(self) -> NDArray[np.uint8]:
        """Every pixel's likeliest class: (height, width) uint8, numbered as `Atr`."""
        labels = np.zeros((self.height, self.width), np.uint8)
        best = self.enlarge(self.probabilities[0]).copy()
        for number in range(1, len(self.probabilities)):
            if self.probabilities[number].max() < 1 / len(self.probabilities):
                continue  # this class is nowhere the likeliest
            plane = self.enlarge(self.probabilities[number])
            better = plane > best
            labels[better] = number
            np.maximum(best, plane, out=best)
        return labels

    def probability(self, classes: Iterable[Atr]) -> Plane:
        """The probability of a group of classes: (h, w) float32 at the network's resolution."""
        numbers = sorted({int(each) for each in classes})
        return np.asarray(self.probabilities[numbers].sum(axis=0), np.float32)

    def mask(self, classes: Iterable[Atr]) -> Mask:
        """Where one of the classes is likelier than all others: (height, width) bool."""
        return np.asarray(self.enlarge(self.probability(classes)) > 0.5, np.bool_)

    def category_shares(self, mask: Mask) -> dict[Category, float]:
        """How much of a mask (any size, over the whole picture) is a top, trousers or a dress."""
        height, width = self.probabilities.shape[1:]
        image = Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST)
        inside = self.probabilities[:, np.asarray(image, np.bool_)]
        return category_shares(inside.argmax(axis=0))

    def enlarge(self, plane: Plane) -> Plane:
        """A plane of the network's resolution (h, w), resized to the picture, float32."""
        image = Image.fromarray(np.ascontiguousarray(plane, np.float32))
        size = (self.width, self.height)
        return np.asarray(image.resize(size, Image.Resampling.BILINEAR), np.float32)
