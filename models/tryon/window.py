"""The part of a frame that a diffusion network paints, at one of a few sizes.

Pictures of one size can be painted in one batch, so a window has one of a few proportions.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from models.segmenter.shapes import Mask, Pixels
from models.tryon.outline import bounds

PROPORTIONS = (9 / 16, 3 / 4, 1.0, 4 / 3, 16 / 9)
"""Width by height."""
MULTIPLE = 8
LEAST = 64
MARGIN = 0.12
"""How far a window reaches over what changes, as a share of the longest side of that."""


@dataclass(frozen=True)
class Window:
    """A box of a frame, x0, y0, x1, y1, exclusive, which may reach over the frame's edges.

    size: the width and height that it is painted at.
    """

    box: tuple[int, int, int, int]
    size: tuple[int, int]

    def cut(self, pixels: Pixels) -> Image.Image:
        """The frame's picture (h, w, 3) in the window; its edge is repeated outside of it."""
        return Image.fromarray(self._crop(pixels)).resize(self.size, Image.Resampling.LANCZOS)

    def cut_mask(self, mask: Mask) -> Image.Image:
        """The frame's mask (h, w) in the window, white inside."""
        return Image.fromarray(self._crop(mask.astype(np.uint8) * 255)).resize(self.size)

    def put_back(self, painted: Image.Image, pixels: Pixels) -> Pixels:
        """A copy of the frame's picture with the painted window in it."""
        x0, y0, x1, y1 = self.box
        frame = Image.fromarray(pixels)
        frame.paste(painted.resize((x1 - x0, y1 - y0), Image.Resampling.LANCZOS), (x0, y0))
        return np.asarray(frame)

    def _crop(self, pixels: Pixels) -> Pixels:
        x0, y0, x1, y1 = self.box
        rows, columns = np.arange(y0, y1), np.arange(x0, x1)
        height, width = pixels.shape[:2]
        inside = np.ix_(rows.clip(0, height - 1), columns.clip(0, width - 1))
        return np.asarray(pixels[inside], np.uint8)


def find_window(change: Mask, side: int) -> Window:
    """The smallest window around what changes, (h, w), which is not empty.

    side: the window's longest side when it is painted.
    """
    height, width = change.shape
    x0, y0, x1, y1 = bounds(change)
    margin = round(MARGIN * max(x1 - x0, y1 - y0))
    across = min(x1 + 1 - x0 + 2 * margin, width)
    down = min(y1 + 1 - y0 + 2 * margin, height)
    ratio = min(PROPORTIONS, key=lambda one: max(across, down * one) * max(down, across / one))
    across, down = max(across, round(down * ratio)), max(down, round(across / ratio))
    left, top = _place((x0 + x1 + 1) / 2, across, width), _place((y0 + y1 + 1) / 2, down, height)
    longest = max(ratio, 1.0)
    size = (_rounded(side * ratio / longest), _rounded(side / longest))
    return Window((left, top, left + across, top + down), size)


def _place(centre: float, length: int, limit: int) -> int:
    """Where a stretch begins: around the centre, but within 0 and the limit if it fits."""
    if length > limit:
        return (limit - length) // 2
    return min(max(round(centre - length / 2), 0), limit - length)


def _rounded(length: float) -> int:
    return max(LEAST, round(length / MULTIPLE) * MULTIPLE)
