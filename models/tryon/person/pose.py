"""Describes a body in a picture: its parse map, limbs, landmarks, and proportions."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from models.segmenter.shapes import Mask
from models.tryon.outline import Points

Labels = NDArray[np.uint8]
"""A parse map: (h, w) uint8, numbered as `models.segmenter.atr.Atr`."""

Kind = TypeVar("Kind", bound=np.generic)

# Proportions of an adult's body in halves of its shoulder width (Pheasant, Bodyspace, rounded):
# used where the parse map does not show the place itself.
NECK, CROTCH, ARM = 0.42, 2.75, 2.75
HAND, STATURE = 0.8, 8.6
TO_WAIST, TO_ANKLE = 0.635, 2.34
"""Rows below the shoulders, as shares of the distance from the shoulders to the crotch."""
STEPS = 14
"""How many stretches an arm is cut into to find its middle line."""
NARROWEST, WIDEST = 0.85, 1.6
"""The least and largest distance of a shoulder from the middle, in heights of the face."""
NEAR_WAIST = 0.42
"""Trousers or a skirt that begin this near the waist, in halves of the shoulders, reach it."""
LEAST_BARE = 0.03
"""The least share of face, hair and limbs in a person's pixels; a flat-lay garment has less."""


@dataclass(frozen=True)
class Limb:
    """An arm or a leg: line (k, 2), its middle line from the joint to the end; half (k,), half its
    width there.
    """

    line: Points
    half: NDArray[np.float64]

    @property
    def length(self) -> float:
        """The length of the middle line."""
        return float(np.hypot(*np.diff(self.line, axis=0).T).sum())

    def at(self, share: float) -> tuple[Points, Points, float]:
        """The point at a share of the length, the unit normal there (to the right of the direction
        to the end), and half the width.
        """
        steps = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(self.line, axis=0).T))))
        where = share * steps[-1]
        point = np.array([np.interp(where, steps, axis) for axis in self.line.T])
        ahead, behind = min(where + 0.12 * steps[-1], steps[-1]), max(where - 0.12 * steps[-1], 0.0)
        way = np.array([np.interp(ahead, steps, a) - np.interp(behind, steps, a)
                        for a in self.line.T])  # fmt: skip
        way = way / (np.hypot(*way) + 1e-9)
        return point, np.array([-way[1], way[0]]), float(np.interp(where, steps, self.half))


@dataclass(frozen=True)
class Pose:
    """The landmarks of a body that stands upright in a picture; "left" is the picture's left.

    neck, shoulders: left and right point, (2, 2). half: half the shoulder width, the unit of
    widths. axis: x of the spine at the neck and at the hip. waist, crotch, ankle: rows. span: the
    distance from the shoulders to the top of the legs, the unit of lengths; the crotch of clothes
    may hang lower. tucked: whether trousers or a skirt are visible up to the waist. trunk: left and
    right edge of the torso without arms in each row, (h, 2), NaN in rows without a torso. arms:
    left and right, None if not visible. hands: (h, w). last_row: the last row of the body.
    """

    neck: Points
    shoulders: Points
    half: float
    axis: tuple[float, float]
    waist: float
    crotch: float
    ankle: float
    trunk: NDArray[np.float64]
    arms: tuple[Limb | None, Limb | None]
    hands: Mask
    last_row: float
    span: float
    tucked: bool

    @property
    def top(self) -> float:
        """The row of the shoulders."""
        return float(self.shoulders[:, 1].mean())

    def spine(self, y: float) -> float:
        """The x of the spine at a row."""
        share = (y - self.top) / max(self.crotch - self.top, 1.0)
        return float(self.axis[0] + (self.axis[1] - self.axis[0]) * np.clip(share, 0.0, 1.0))

    def edges(self, y: float) -> tuple[float, float]:
        """Left and right edge of torso, hips or legs in the nearest row that has them."""
        row = int(np.clip(round(y), 0, len(self.trunk) - 1))
        filled_rows = np.flatnonzero(~np.isnan(self.trunk[:, 0]))
        if not len(filled_rows):
            middle = self.spine(y)
            return middle - 0.8 * self.half, middle + 0.8 * self.half
        nearest = filled_rows[np.abs(filled_rows - row).argmin()]
        return float(self.trunk[nearest, 0]), float(self.trunk[nearest, 1])

    def scaled(self, shape: tuple[int, int]) -> "Pose":
        """The same body on a map of another shape (h, w) with the same proportions."""
        share = shape[0] / len(self.trunk)
        rows = (np.arange(shape[0]) + 0.5) / share - 0.5
        own_rows = np.arange(len(self.trunk))
        trunk = np.stack([np.interp(rows, own_rows, edge) * share for edge in self.trunk.T], axis=1)
        arms = [arm and Limb(arm.line * share, arm.half * share) for arm in self.arms]
        return Pose(
            self.neck * share, self.shoulders * share, self.half * share,
            (self.axis[0] * share, self.axis[1] * share), self.waist * share,
            self.crotch * share, self.ankle * share, trunk, (arms[0], arms[1]),
            resized(self.hands, shape), self.last_row * share, self.span * share, self.tucked,
        )  # fmt: skip


def resized(labels: NDArray[Kind], shape: tuple[int, int]) -> NDArray[Kind]:
    """A map (h, w), resampled to another shape by nearest neighbour."""
    rows = ((np.arange(shape[0]) + 0.5) * labels.shape[0] / shape[0]).astype(int)
    columns = ((np.arange(shape[1]) + 0.5) * labels.shape[1] / shape[1]).astype(int)
    resampled: NDArray[Kind] = labels[rows][:, columns]
    return resampled
