"""Occlusion at two scales: which parts of a picture raise or lower a model's prediction.

Zeiler and Fergus 2014: cover a patch and predict again; the difference is the patch's influence.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]
FloatPixels = NDArray[np.float32]
Change = NDArray[np.float64]
FINE, COARSE, CELLS = 8, 4, 64
NOISE = 16.0
FRAME = 0.06
"""The share of the sides that counts as the picture's frame, which shows the background."""


def patches() -> Boxes:
    """(113, 4) float32: left, top, right, bottom as shares of the sides.

    An 8 x 8 grid, and patches of twice its side at every step of the grid.
    """
    side = np.float32(1 / FINE)
    fine = [(x * side, y * side, (x + 1) * side, (y + 1) * side)
            for y in range(FINE) for x in range(FINE)]  # fmt: skip
    steps = FINE - FINE // COARSE + 1
    wide = np.float32(1 / COARSE)
    coarse = [(x * side, y * side, x * side + wide, y * side + wide)
              for y in range(steps) for x in range(steps)]  # fmt: skip
    return np.array(fine + coarse, dtype=np.float32)


def background(pixels: FloatPixels) -> FloatPixels:
    """(3, h, w) -> (3, 1, 1): the median colour of the frame, which patches are covered with.

    Covering bare background then changes little, and covering the garment removes it.
    """
    _, height, width = pixels.shape
    y, x = max(1, round(FRAME * height)), max(1, round(FRAME * width))
    frame = np.concatenate(
        [
            pixels[:, :y].reshape(3, -1),
            pixels[:, -y:].reshape(3, -1),
            pixels[:, :, :x].reshape(3, -1),
            pixels[:, :, -x:].reshape(3, -1),
        ],
        axis=1,
    )
    return np.asarray(np.median(frame, axis=1), dtype=np.float32)[:, None, None]


def cover(pixels: FloatPixels, box: Boxes, fill: FloatPixels) -> FloatPixels:
    """A copy of (3, h, w) with the box (4,) filled with one colour."""
    _, height, width = pixels.shape
    left, right = round(float(box[0]) * width), round(float(box[2]) * width)
    top, bottom = round(float(box[1]) * height), round(float(box[3]) * height)
    covered = pixels.copy()
    covered[:, top:bottom, left:right] = fill
    return covered


@dataclass(frozen=True)
class Influence:
    """cells: (64, 64) float64, how much each cell raises (above 0) or lowers the prediction."""

    cells: NDArray[np.float64]

    @classmethod
    def of(
        cls, boxes: Boxes, whole: float, covered: NDArray[np.float64], change: Change
    ) -> "Influence":
        """From the predictions for the whole picture and for the covered copies (n,).

        A patch's difference is distributed over its cells in proportion to how much covering it
        changed each cell, since background that covering leaves unchanged can't be the cause. Both
        scales have the same weight.
        """
        width = np.round(boxes[:, 2] - boxes[:, 0], 6)
        scales = [_spread(boxes[width == value], (whole - covered)[width == value], change)
                  for value in np.unique(width)]  # fmt: skip
        return cls(np.mean(scales, axis=0))


def change_of(picture: NDArray[np.uint8]) -> Change:
    """(CELLS, CELLS, 3) uint8 RGB -> (CELLS, CELLS) float64: each cell's distance from the frame's
    colour, 0 to 255; differences below `NOISE`, such as the background's texture, count as 0.
    """
    pixels = picture.transpose(2, 0, 1).astype(np.float32)
    difference = np.abs(pixels - background(pixels)).mean(axis=0)
    return np.asarray(np.maximum(difference - NOISE, 0.0), dtype=np.float64)


def _spread(boxes: Boxes, differences: NDArray[np.float64], change: Change) -> NDArray[np.float64]:
    total, count = np.zeros((CELLS, CELLS)), np.zeros((CELLS, CELLS))
    for (left, top, right, bottom), difference in zip(
        np.rint(boxes * CELLS).astype(int), differences, strict=True
    ):
        part = change[top:bottom, left:right] + 1.0
        total[top:bottom, left:right] += difference * part / part.sum()
        count[top:bottom, left:right] += 1
    return np.asarray(total / np.maximum(count, 1))
