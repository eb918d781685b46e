"""Finds a person and the landmarks of their body in a parse map."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from errors import Invalid
from models.segmenter.atr import ARMS, BODY, CLOTHES, LEGS, Atr, mask_of
from models.segmenter.shapes import Mask
from models.tryon.outline import between, bounds, central_run, largest_part, runs
from models.tryon.person.arms import find_arm, find_hands
from models.tryon.person.joints import find_levels, find_shoulders
from models.tryon.person.pose import LEAST_BARE, NECK, Labels, Pose


def find_person(labels: Labels) -> Mask:
    """The mask of the largest person on the map.

    Raises:
        Invalid: about the person: there is none, or there are two.
    """
    whole = ~mask_of(labels, {Atr.BACKGROUND, Atr.BAG})
    person = largest_part(whole) & (labels > 0)
    dressed = mask_of(labels, CLOTHES | ARMS | LEGS) & person
    bare = mask_of(labels, BODY) & person
    if dressed.mean() < 0.01 or bare.sum() < LEAST_BARE * person.sum():
        raise Invalid("no person with visible clothes was found in the picture").about("person")
    faces, count = ndimage.label(labels == Atr.FACE)
    sizes = np.sort(np.bincount(faces.ravel())[1:])[::-1]
    parts, _ = ndimage.label(whole, np.ones((3, 3)))
    areas = np.sort(np.bincount(parts.ravel())[1:])[::-1]
    crowd = count > 1 and sizes[1] > 0.5 * sizes[0] and len(areas) > 1 and areas[1] > 0.5 * areas[0]
    if crowd:
        raise Invalid("the picture shows two people; crop it to one").about("person")
    return person


def find_body(labels: Labels) -> Pose:
    """Landmarks of the largest person.

    Raises:
        Invalid: about the person: none, two people, or no visible body.
    """
    person = find_person(labels)
    labels = np.where(person, labels, 0).astype(np.uint8)
    shoulders, half = find_shoulders(labels)
    top = float(shoulders[:, 1].mean())
    middle = float(shoulders[:, 0].mean())
    levels = find_levels(labels, top, half)
    crotch = levels.crotch
    hip = _hip_middle(labels, middle, crotch, half)
    neck = np.array([[between(shoulders[0], shoulders[1], share)[0], 0.0] for share in (0.3, 0.7)])
    neck[:, 1] = top - NECK * half * 0.55
    last_row = float(bounds(person)[3])
    body = Pose(
        neck, shoulders, half, (middle, hip), levels.waist, crotch, levels.ankle,
        np.full((len(labels), 2), np.nan), (None, None), np.zeros_like(person), last_row,
        levels.span, levels.tucked,
    )  # fmt: skip
    body = replace(body, trunk=_find_trunk(labels, body))
    arms = [find_arm(labels, body, side) for side in (0, 1)]
    hands = find_hands(labels, body, arms)
    return replace(body, arms=(arms[0], arms[1]), hands=hands)


def _hip_middle(labels: Labels, middle: float, crotch: float, half: float) -> float:
    """The x of the middle of the hips."""
    low, high = round(crotch - 0.8 * half), round(crotch)
    zone = mask_of(labels, CLOTHES | LEGS)[max(low, 0) : max(high, 1)]
    centres = [
        (run[0] + run[1]) / 2 for row in zone if (run := central_run(row, middle)) is not None
    ]
    hip = float(np.median(centres)) if centres else middle
    return float(np.clip(hip, middle - 0.8 * half, middle + 0.8 * half))


def _find_trunk(labels: Labels, body: Pose) -> NDArray[np.float64]:
    """The outer edges of torso and legs in each row.

    Wide clothes and sleeves are limited to a body's width at that row, in halves of the shoulders.
    """
    worn = mask_of(labels, CLOTHES | LEGS | {Atr.BELT})
    trunk = np.full((len(labels), 2), np.nan)
    rows = np.array([body.top, body.top + 0.8 * body.half, body.waist, body.crotch])
    least, most = np.array([0.62, 0.62, 0.5, 0.55]), np.array([0.92, 0.9, 0.8, 0.95])
    for y in range(max(0, round(body.top)), len(labels)):
        middle = body.spine(y)
        run = central_run(worn[y], middle)
        if run is None or run[0] > middle or run[1] < middle:
            if y > body.crotch and (stretches := runs(worn[y])):
                trunk[y] = stretches[0][0], stretches[-1][1]
            continue
        if y > body.crotch:
            stretches = [one for one in runs(worn[y]) if one[1] - one[0] > 2] or [run]
            trunk[y] = stretches[0][0], stretches[-1][1]
            continue
        low, high = (np.interp(y, rows, limit) * body.half for limit in (least, most))
        trunk[y] = (
            middle - np.clip(middle - run[0], low, high),
            middle + np.clip(run[1] - middle, low, high),
        )
    smooth = ndimage.gaussian_filter1d(_filled(trunk), 2.0, axis=0, mode="nearest")
    return np.asarray(smooth)


def _filled(trunk: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolates rows without edges; rows above and below all others repeat the nearest."""
    filled_rows = np.flatnonzero(~np.isnan(trunk[:, 0]))
    if not len(filled_rows):
        return trunk
    rows = np.arange(len(trunk))
    return np.stack(
        [np.interp(rows, filled_rows, trunk[filled_rows, side]) for side in (0, 1)], axis=1
    )
