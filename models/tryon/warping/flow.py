"""Appearance flow: offsets that refine the splines' warp, so that the garment fits the body.

Zhou et al., View Synthesis by Appearance Flow, ECCV 2016; Han et al., ClothFlow, ICCV 2019. The
network's inputs are shapes only (a parse map, the first warp, the garment's outline), so that it
can be trained on drawings and used on photographs. It moves colours and patterns and makes none.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from models.segmenter.atr import MIRRORED
from models.segmenter.shapes import Mask
from models.tryon.outline import Points, bounds
from models.tryon.person.pose import Labels
from models.tryon.warping.placement import Piece
from models.tryon.warping.splines import Fit

GRID = (192, 144)
"""Height and width of the network's input."""
STRIDE = 4
"""The flow has one vector for a square of this many cells."""
FLAT = 64
"""The side of the square input with the garment's outline."""
OUTSIDE = 18
"""The label of pixels beyond the photograph; the others are `Atr`'s."""
MARGIN = 0.08
Planes = NDArray[np.float32]


@dataclass(frozen=True)
class GridCrop:
    """The part of the person's frame on the grid: its corner, and the frame pixels of a cell."""

    x: float
    y: float
    scale: float

    def points(self) -> Points:
        """The frame's pixel of every cell of the grid, row by row, (n, 2)."""
        columns, rows = np.meshgrid(
            np.arange(GRID[1], dtype=float), np.arange(GRID[0], dtype=float)
        )
        return self.in_frame(np.stack([columns, rows], axis=-1).reshape(-1, 2))

    def in_frame(self, points: Points) -> Points:
        """Cells of the grid (n, 2) -> pixels of the frame."""
        return np.asarray(points * self.scale + np.array([self.x, self.y]), np.float64)

    def in_grid(self, points: Points) -> Points:
        """Pixels of the frame (n, 2) -> cells of the grid."""
        return np.asarray((points - np.array([self.x, self.y])) / self.scale, np.float64)


@dataclass(frozen=True)
class FlowInputs:
    """The inputs of the flow's network.

    labels: GRID uint8, with `OUTSIDE`. cover: GRID float32, the first warp's. place: (2, *GRID)
    float32, the warp's source in the garment's box, x and y in 0..1, 0 where nothing is covered.
    flat: (FLAT, FLAT) float32, the garment's outline. source: (2, *GRID), as `place`, in pixels of
    the garment's picture.
    """

    labels: NDArray[np.uint8]
    cover: Planes
    place: Planes
    flat: Planes
    source: Planes


class FlowModel(Protocol):
    """`models.tryon.warping.flow_network.FlowPredictor` is one."""

    version: str
    """Changes with the weights."""

    def flow(self, inputs: FlowInputs) -> Planes:
        """(2, GRID / STRIDE) float32: the offset of each place's source, x and y in cells."""
        ...


@dataclass(frozen=True)
class Shift:
    """A flow in its crop, as offsets of points of the frame."""

    flow: Planes
    crop: GridCrop

    def __call__(self, points: Points) -> Points:
        """Points of the frame (n, 2) -> offsets to add to them, (n, 2)."""
        cells = (self.crop.in_grid(points) + 0.5) / STRIDE - 0.5
        moved = [
            ndimage.map_coordinates(plane, (cells[:, 1], cells[:, 0]), order=1, mode="nearest")
            for plane in self.flow
        ]
        return np.stack(moved, axis=1) * self.crop.scale


def frame_person(person: Mask, size: tuple[int, int]) -> GridCrop:
    """The crop around a person, with a margin, in a frame of `size` (height, width).

    person: a mask of the frame's proportions, any size.
    """
    x0, y0, x1, y1 = (each * size[0] / len(person) for each in bounds(person))
    tall, wide = max(y1 - y0, 1.0), max(x1 - x0, 1.0)
    scale = max(tall / GRID[0], wide / GRID[1]) * (1 + 2 * MARGIN)
    x = (x0 + x1) / 2 - (GRID[1] - 1) / 2 * scale
    y = (y0 + y1) / 2 - (GRID[0] - 1) / 2 * scale
    return GridCrop(x, y, scale)


def make_flow_inputs(
    labels: Labels, crop: GridCrop, mask: Mask, pieces: Sequence[Piece], fits: Sequence[Fit]
) -> FlowInputs:
    """The network's inputs for a first warp. labels: (h, w) of the frame. mask: of the garment."""
    points = crop.points()
    cover, source = np.zeros(GRID, np.float32), np.zeros((2, *GRID), np.float32)
    for piece, fit in zip(pieces, fits, strict=True):
        at = fit.spline(points).T.reshape(2, *GRID)
        over = ndimage.map_coordinates(
            piece.mask.astype(np.float32), at[::-1], order=1, cval=0.0
        )  # fmt: skip
        source = over * at + (1 - over) * source
        cover = over + (1 - over) * cover
    x0, y0, x1, y1 = bounds(mask)
    corner, size = np.array([x0, y0])[:, None, None], np.array([x1 - x0 + 1, y1 - y0 + 1])
    place = np.where(cover > 0, (source - corner * cover) / size[:, None, None], 0.0)
    return FlowInputs(
        _labels_at(labels, points), cover, place.astype(np.float32), _outline(mask),
        source.astype(np.float32),
    )  # fmt: skip


def mirror(inputs: FlowInputs) -> FlowInputs:
    """The mirror image of person and garment; `source` stays as it is."""
    swapped = np.array([*MIRRORED, OUTSIDE], np.uint8)[inputs.labels[:, ::-1]]
    cover, place = inputs.cover[:, ::-1], inputs.place[..., ::-1]
    across = np.stack([cover - place[0], place[1]])
    return replace(inputs, labels=swapped, cover=cover, place=across, flat=inputs.flat[:, ::-1])


def _labels_at(labels: Labels, points: Points) -> NDArray[np.uint8]:
    """The labels at the grid's points, `OUTSIDE` beyond the frame."""
    x, y = points.round().astype(int).T
    height, width = labels.shape
    within = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    result = np.full(len(points), OUTSIDE, np.uint8)
    result[within] = labels[y[within], x[within]]
    return result.reshape(GRID)


def _outline(mask: Mask) -> Planes:
    """The mask's bounding box in the middle of a square, with its proportions."""
    x0, y0, x1, y1 = bounds(mask)
    part = mask[y0 : y1 + 1, x0 : x1 + 1]
    scale = FLAT / max(part.shape)
    height, width = (max(1, round(side * scale)) for side in part.shape)
    small = np.asarray(
        Image.fromarray(part.astype(np.uint8) * 255).resize((width, height), Image.Resampling.BOX)
    )
    flat = np.zeros((FLAT, FLAT), np.float32)
    top, left = (FLAT - height) // 2, (FLAT - width) // 2
    flat[top : top + height, left : left + width] = small / np.float32(255)
    return flat
