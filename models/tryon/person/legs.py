"""Finds each leg in every row, also where trousers or a skirt hide it."""

import numpy as np
from numpy.typing import NDArray

from models.segmenter.atr import DRESS, LEGS, LOWER, Atr, mask_of
from models.tryon.outline import runs
from models.tryon.person.pose import Labels, Limb, Pose


def legs_of(labels: Labels, body: Pose) -> tuple[Limb, Limb]:
    """Both legs as limbs; rows without legs on the map are interpolated."""
    limbs = []
    for track in leg_tracks(labels, body):
        rows = np.linspace(body.crotch - 0.2 * body.half, body.ankle, 12)
        index = np.clip(rows.round().astype(int), 0, len(track) - 1)
        line = np.stack([track[index].mean(1), rows], axis=1)
        share = np.linspace(0.0, 1.0, 12)
        natural = np.interp(share, [0, 0.5, 0.65, 1.0], [0.42, 0.27, 0.28, 0.15]) * body.half
        half = np.minimum(np.ptp(track[index], axis=1) / 2, natural)
        limbs.append(Limb(line, half))
    return limbs[0], limbs[1]


def leg_tracks(labels: Labels, body: Pose) -> list[NDArray[np.float64]]:
    """Left and right edge of each leg in each row, (h, 2); where both touch, the row is split."""
    worn = mask_of(labels, LOWER | LEGS | DRESS)
    hips = body.edges(body.crotch)
    middle = sum(hips) / 2
    tracks = [np.full((len(labels), 2), np.nan) for _ in range(2)]
    for y in range(max(0, round(body.crotch)), min(len(labels), round(body.ankle) + 1)):
        skirt = mask_of(labels[y], DRESS | {Atr.SKIRT}).sum()
        stretches = [run for run in runs(worn[y]) if run[1] - run[0] > 0.12 * body.half]
        alone = (
            len(stretches) == 1 and stretches[0][1] - stretches[0][0] < 0.5 * body.half
        )  # only one leg is visible
        if not stretches or alone or skirt > 0.5 * worn[y].sum():
            continue
        if len(stretches) >= 2:
            tracks[0][y], tracks[1][y] = stretches[0], stretches[-1]
            middle = (stretches[0][1] + stretches[-1][0]) / 2
        else:
            left, right = stretches[0]
            cut = float(
                np.clip(middle, left + 0.35 * (right - left), right - 0.35 * (right - left))
            )
            tracks[0][y], tracks[1][y] = (left, cut), (cut, right)
    return [_complete(track, hips, body, side) for side, track in enumerate(tracks)]


def _complete(
    track: NDArray[np.float64], hips: tuple[float, float], body: Pose, side: int
) -> NDArray[np.float64]:
    """Fills rows without a leg by interpolation between the hip and the rows that show one."""
    middle = sum(hips) / 2
    own = (hips[0], middle) if side == 0 else (middle, hips[1])
    rows = np.arange(len(track))
    filled_rows = np.flatnonzero(~np.isnan(track[:, 0]))
    filled_rows = filled_rows[filled_rows > body.crotch + 2]
    places = np.concatenate(([body.crotch], filled_rows.astype(float)))
    values = np.concatenate((np.array([own]), track[filled_rows]))
    if not len(filled_rows):
        out = -0.1 if side == 0 else 0.1
        places = np.array([body.crotch, body.ankle])
        values = np.array([own, np.array(own) + out * body.half])
    return np.stack([np.interp(rows, places, values[:, edge]) for edge in (0, 1)], axis=1)
