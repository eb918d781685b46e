"""Finds shoulders, waist, crotch and ankles in a parse map; by proportion where it shows none."""

from dataclasses import dataclass

import numpy as np

from errors import Invalid
from models.segmenter.atr import ARMS, DRESS, LEGS, LOWER, SHOES, UPPER, Atr, mask_of
from models.segmenter.shapes import Mask
from models.tryon.outline import Points, bounds, extreme, largest_part, runs
from models.tryon.person.pose import (
    CROTCH,
    NARROWEST,
    NEAR_WAIST,
    STATURE,
    TO_ANKLE,
    TO_WAIST,
    WIDEST,
    Labels,
)

LOWEST = 0.5
"""The largest distance of the shoulders from the first row in which they may be, in heights of the
face. The distance is at most 0.6 on nine of ten street photographs, and 0.45 on drawn people.
"""


def find_shoulders(labels: Labels) -> tuple[Points, float]:
    """Both tips of the shoulders and half their distance, limited by the size of the head."""
    trunk = mask_of(labels, UPPER | DRESS | ARMS)
    if not trunk.any():
        return _shoulders_above(labels)
    middle, start, tall, is_visible = _head_of(labels, trunk)
    zone = trunk.copy()
    zone[:start] = False
    zone[start + round(2.2 * tall) + 2 :] = False
    columns = np.arange(labels.shape[1])
    zone &= np.abs(columns - middle) < WIDEST * tall
    sides = [zone & (columns < middle), zone & (columns >= middle)]
    tips = [
        extreme(side, (sign * 0.62, -1.0)) if side.any() else None
        for side, sign in zip(sides, (-1, 1), strict=True)
    ]
    reach = [abs(tip[0] - middle) if tip is not None else 0.0 for tip in tips]
    even = min(reach) > 0.72 * max(reach)
    half = sum(reach) / 2 if even or not min(reach) else 1.15 * min(reach)  # one arm is raised
    if is_visible:
        half = float(np.clip(half, NARROWEST * tall, WIDEST * tall))
    half = _limit_by_stature(max(half, 1.0), labels)
    for number, side in enumerate(sides):  # a tip near the neck is the edge of a scarf
        out = np.abs(columns - middle) > 0.75 * half
        if reach[number] < 0.7 * half and (side & out).any():
            tips[number] = extreme(side & out, (0.0, -1.0))
    both = [tip for tip in tips if tip is not None]
    level = float(np.mean([tip[1] for tip in both])) if both else start + 0.4 * tall
    if not even and len(both) == 2:
        level = float(both[int(np.argmin(reach))][1])
    if is_visible:  # if the person is turned aside, the tip may be an elbow or a hip
        level = min(level, start + LOWEST * tall)
    centre = middle + 0.5 * (reach[1] - reach[0]) if even else middle
    steep = both[-1][1] - both[0][1] if len(both) == 2 and even else 0.0
    slope = np.clip(steep, -0.5 * half, 0.5 * half)
    return np.array([[centre - half, level - slope / 2], [centre + half, level + slope / 2]]), half


def _head_of(labels: Labels, trunk: Mask) -> tuple[float, int, float, bool]:
    """The head's middle column, the first row that a shoulder may be in, the head's height, and
    whether the head is visible; where it isn't, all are estimated from the trunk.
    """
    face = largest_part(mask_of(labels, {Atr.FACE, Atr.SUNGLASSES}))
    head = face if face.any() else labels == Atr.HAIR
    first = bounds(trunk)[1]
    if not head.any():
        x0, _, x1, _ = bounds(trunk)
        return (x0 + x1) / 2, first, max(0.6 * (x1 - x0), 1.0), False
    x0, y0, x1, y1 = bounds(head)
    # Some parse maps count neck and chest as face.
    tall = float(max(np.clip(y1 - y0, 1.2 * (x1 - x0), 1.5 * (x1 - x0)), 1))
    return (x0 + x1) / 2, max(first, round(y0 + 0.45 * tall)), tall, True


def _limit_by_stature(half: float, labels: Labels) -> float:
    """Limits the shoulders to a share of the stature where the whole figure is visible."""
    _, top, _, bottom = bounds(labels > 0)
    if top < 2 or bottom > len(labels) - 3 or not mask_of(labels, SHOES | LOWER | LEGS).any():
        return half
    usual = (bottom - top) / STATURE
    return float(np.clip(half, 0.82 * usual, 1.18 * usual))


def _shoulders_above(labels: Labels) -> tuple[Points, float]:
    """The place of the shoulders above a picture that shows legs only."""
    lower = mask_of(labels, LOWER | LEGS)
    if not lower.any():
        raise Invalid("no clothes, arms or legs of the person can be seen").about("person")
    x0, y0, x1, _ = bounds(lower)
    half, middle = max((x1 - x0) / 1.7, 1.0), (x0 + x1) / 2
    level = y0 - TO_WAIST * CROTCH * half
    return np.array([[middle - half, level], [middle + half, level]]), half


@dataclass(frozen=True)
class Levels:
    """Rows of waist, crotch and ankles; span and tucked as in `Pose`."""

    waist: float
    crotch: float
    ankle: float
    span: float
    tucked: bool


def find_levels(labels: Labels, top: float, half: float) -> Levels:
    """Rows of the parse map where it shows them, else by proportion."""
    legs, shoes = mask_of(labels, LOWER | LEGS | SHOES), mask_of(labels, SHOES)
    span = CROTCH * half
    ankle = top + TO_ANKLE * span
    if legs.any() and (last := bounds(legs)[3]) < len(labels) - 2:
        ankle = bounds(shoes)[1] + 0.35 * half if shoes.any() else last - 0.2 * half
        ankle = float(np.clip(ankle, top + 4.2 * half, max(last, top + 4.2 * half)))
        span = 0.3 * span + 0.7 * (ankle - top) / TO_ANKLE
    waist = top + TO_WAIST * span
    lower, tucked = mask_of(labels, LOWER), False
    if lower.any():
        first = float(bounds(lower)[1])
        tucked = abs(first - waist) < NEAR_WAIST * half
        waist = first if tucked else waist
    split = _find_split(mask_of(labels, LEGS | {Atr.PANTS}), top, half, top + span)
    return Levels(waist, top + span if split is None else split, ankle, span, tucked)


def _find_split(legs: Mask, top: float, half: float, guess: float) -> float | None:
    """The row below which two legs are apart, if a crotch can be there."""

    def is_split(y: int) -> bool:
        wide = [run for run in runs(legs[y]) if run[1] - run[0] > 0.16 * half]
        return len(wide) >= 2 and wide[1][0] - wide[0][1] > 1

    reach = max(2, round(0.5 * half))
    for y in range(round(top + 1.9 * half), min(len(legs) - reach, round(guess + 0.9 * half))):
        if y >= 0 and all(is_split(y + ahead) for ahead in range(0, reach, 2)):
            return float(np.clip(y, guess - 0.5 * half, guess + 0.6 * half))
    return None
