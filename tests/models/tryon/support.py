"""What tests of try-on share: a parser of one known person, and what a repaint may change."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.segmenter.parsing import Parsing
from models.segmenter.shapes import Mask, Pixels
from models.tryon.repaint import repaint
from models.tryon.warping.splines import Cover


@dataclass
class FixedParser:
    """Returns one person's parse map; pictures of other proportions are all background."""

    labels: NDArray[np.uint8]
    version: str = "fixed"
    calls: int = 0

    def parse(self, image: Pixels) -> Parsing:
        self.calls += 1
        height, width = image.shape[:2]
        is_person = (height > width) == (self.labels.shape[0] > self.labels.shape[1])
        labels = self.labels if is_person else np.zeros((8, 8), np.uint8)
        planes = np.stack([labels == number for number in range(18)]).astype(np.float32)
        return Parsing(planes, height, width)

    def check(self) -> None:
        """Nothing can break."""


def changed_area(size: tuple[int, int], share: Cover, protected: Mask) -> Mask:
    """Which pixels of a photograph of `size` (width, height) `repaint` may change: (H, W)."""
    black = Image.new("RGB", size)
    white = np.full((*share.shape, 3), 255, np.uint8)
    full = (share > 0).astype(np.float32)
    return np.asarray(repaint(black, white, full, protected))[..., 0] > 0
