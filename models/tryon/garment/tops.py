"""Landmarks of flat-lay tops and dresses, found in the garment's mask."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from errors import Invalid
from models.segmenter.shapes import Category, Mask
from models.tryon.garment.bottoms import ROWS, Bottom, find_bottom
from models.tryon.outline import Points, bounds, central_run, extreme, largest_part

LEAST_SHARE = 0.01
"""The least share of the picture that a garment covers."""
LEAST_SLEEVE = 0.015
"""The least share of the garment that a sleeve covers."""


@dataclass(frozen=True)
class Sleeve:
    """One sleeve: the points (2,) where it leaves the torso, and the corners of its cuff.

    outer: on the shoulder's side. mask: (h, w), the sleeve and a little of the torso beside it.
    """

    outer_start: Points
    inner_start: Points
    outer_end: Points
    inner_end: Points
    mask: Mask


@dataclass(frozen=True)
class Top:
    """An upper garment or a dress, in pixels of the garment's picture; left is the picture's left.

    neck, shoulders: (2, 2). sides: (k, 2, 2), left and right edge from the armpits to the hem.
    torso: (h, w), the garment without its sleeves.
    """

    neck: Points
    shoulders: Points
    sides: NDArray[np.float64]
    sleeves: tuple[Sleeve | None, Sleeve | None]
    torso: Mask
    is_dress: bool = False


def find_garment(mask: Mask, category: Category) -> Top | Bottom:
    """Landmarks of the mask's largest part, after `upright` has turned it.

    Raises:
        Invalid: about the garment: the mask is nearly empty, or fills the picture.
    """
    whole = largest_part(mask)
    if whole.mean() < LEAST_SHARE:
        raise Invalid("no garment was found in the picture").about("garment")
    if whole.mean() > 0.985:
        raise Invalid("the garment can't be distinguished from its background").about("garment")
    return find_bottom(whole) if category == "lower" else _find_top(whole, category)


def _mirror_axis(mask: Mask) -> float:
    """The column about which the mask is most like its mirror image."""
    x0, y0, x1, y1 = bounds(mask)
    step = max(1, max(x1 - x0, y1 - y0) // 96)
    small = mask[y0 : y1 + 1 : step, x0 : x1 + 1 : step]
    width = small.shape[1]
    padded = np.pad(small, ((0, 0), (width, width)))
    scores = {}
    for axis in range(round(0.35 * width), round(0.65 * width) + 1):
        left = padded[:, axis : axis + width][:, ::-1]
        right = padded[:, axis + width + 1 : axis + 2 * width + 1]
        scores[axis] = float((left & right).sum())
    return x0 + step * float(max(scores, key=lambda axis: scores[axis]))


def _find_top(mask: Mask, category: Category) -> Top:
    x0, y0, x1, y1 = bounds(mask)
    tall = y1 - y0 + 1
    middle = _mirror_axis(mask)
    edges = _central_edges(mask, middle, y0, y1)
    armpit, edges = _find_armpit(edges, middle, tall, x1 - x0 + 1, category)
    chest = edges[min(armpit + 2, len(edges) - 1)]
    wide = chest[1] - chest[0]
    centre = (chest[0] + chest[1]) / 2
    shoulders = np.array([
        _top_at(mask, centre + sign * 0.47 * wide, y0 + armpit) for sign in (-1, 1)
    ])  # fmt: skip
    neck = _find_neck(mask, centre, wide, y0 + armpit)
    highest = float(shoulders[:, 1].mean()) - 0.24 * wide  # a hood falls behind the head
    neck[:, 1] = np.maximum(neck[:, 1], highest)
    mask = mask & (np.arange(len(mask))[:, None] >= highest - 0.04 * wide)
    pits = np.array([[chest[0], y0 + armpit], [chest[1], y0 + armpit]], float)
    torso = _torso_of(mask, edges, y0, shoulders, pits)
    least = 0.2 * wide
    sleeves = [
        _find_sleeve(mask, torso, shoulders[side], pits[side], side, least) for side in (0, 1)
    ]
    torso = _with_stubs(mask, torso, sleeves, centre)
    hem = len(edges) - 1 - round(0.025 * len(edges))  # above the hem's rounded corners
    rows = np.linspace(armpit, hem, ROWS).round().astype(int)
    sides = np.array([[[edges[r, 0], y0 + r], [edges[r, 1], y0 + r]] for r in rows], float)
    return Top(neck, shoulders, sides, (sleeves[0], sleeves[1]), torso, category == "dress")


def _central_edges(mask: Mask, middle: float, y0: int, y1: int) -> NDArray[np.float64]:
    """Left and right edge of the central stretch in every row from y0 to the hem."""
    stretches = []
    for row in mask[y0 : y1 + 1]:
        run = central_run(row, middle)
        stretches.append((np.nan, np.nan) if run is None else (float(run[0]), float(run[1])))
    edges = np.array(stretches)
    filled_rows = np.flatnonzero(~np.isnan(edges[:, 0]))
    edges = np.stack(
        [
            np.interp(np.arange(len(edges)), filled_rows, edges[filled_rows, side])
            for side in (0, 1)
        ],
        axis=1,
    )
    width = edges[:, 1] - edges[:, 0]
    # A rounded hem ends before its tip, and a hanging cuff is no hem.
    low = np.median(width[round(0.5 * len(width)) : round(0.8 * len(width))])
    narrow = np.flatnonzero(width[round(0.6 * len(width)) :] < 0.6 * low)
    end = round(0.6 * len(width)) + int(narrow[0]) - 1 if len(narrow) else len(width) - 1
    return edges[: end + 1]


def _find_armpit(
    edges: NDArray[np.float64], middle: float, tall: int, wide: int, category: Category
) -> tuple[int, NDArray[np.float64]]:
    """The row, counted from the first, where the sleeves leave the torso, and the torso's edges.

    A sleeve that lies against the torso leaves it below the armpit; the rows between take the edges
    of the free torso below. Both sides are assumed to be about equally wide.
    """
    step = max(2, round(0.04 * tall))
    dress = category == "dress"
    low, high = round(0.12 * tall), round((0.6 if dress else 0.84) * tall)
    usual, deepest = (0.26, 0.36) if dress else (0.35, 0.48)
    free, rows = edges.copy(), list[int]()
    for side, sign in ((0, 1.0), (1, -1.0)):
        out = sign * (edges[step:, side] - edges[:-step, side])  # upwards, how far it moves out
        jumps = np.flatnonzero(out[low : min(high, len(out))] > 0.06 * wide)
        if not len(jumps):
            continue
        apart = min(low + int(jumps[-1]) + step, len(edges) - 3)
        row = apart if apart <= deepest * tall else round(usual * tall)
        below = edges[apart + 2 : apart + 3 + round(0.1 * tall), side]
        free[: apart + 2, side] = np.median(below)
        rows.append(row)
    half = np.abs(free - middle)
    for side, sign in ((0, -1), (1, 1)):
        narrow = half[:, side] < 0.7 * half[:, 1 - side]
        free[narrow, side] = middle + sign * half[narrow, 1 - side]
    row = round(float(np.mean(rows))) if rows else round(usual * tall)
    return min(row, len(edges) - 4), free


def _top_at(mask: Mask, x: float, limit: int) -> Points:
    """The topmost pixel of the mask in a column, but at least as high as the limit."""
    column = int(np.clip(round(x), 0, mask.shape[1] - 1))
    rows = np.flatnonzero(mask[:limit, column])
    return np.array([x, float(rows[0]) if len(rows) else float(limit)])


def _find_neck(mask: Mask, centre: float, wide: float, limit: int) -> Points:
    """Both corners of the collar: the highest points left and right of the middle."""
    columns = np.arange(mask.shape[1])
    rows = np.arange(len(mask))[:, None] < limit
    points = []
    for sign in (-1, 1):
        beside = sign * (columns - centre)
        zone = mask & rows & (beside >= 0.08 * wide) & (beside <= 0.34 * wide)
        points.append(
            extreme(zone, (sign * 0.3, -1.0))
            if zone.any()
            else np.array([centre + sign * 0.2 * wide, float(limit)])
        )
    return np.array(points)


def _torso_of(
    mask: Mask, edges: NDArray[np.float64], y0: int, shoulders: Points, pits: Points
) -> Mask:
    """The mask between the lines from shoulders to armpits, and its central stretch below them."""
    rows, columns = np.arange(len(mask))[:, None], np.arange(mask.shape[1])[None]
    torso = mask.copy()
    for side, sign in ((0, 1.0), (1, -1.0)):
        line = np.interp(
            rows, [shoulders[side, 1], pits[side, 1]], [shoulders[side, 0], pits[side, 0]]
        )
        torso &= (sign * (columns - line) >= 0) | (rows >= pits[side, 1])
    below = np.zeros_like(mask)
    for offset, (left, right) in enumerate(edges):
        if y0 + offset >= pits[0, 1]:
            below[y0 + offset, int(left) : int(right) + 1] = True
    return np.asarray(torso & (below | (rows < pits[0, 1])))


def _find_sleeve(
    mask: Mask, torso: Mask, shoulder: Points, pit: Points, side: int, least: float
) -> Sleeve | None:
    """The part outside of the torso on one side; None where it is too small for a sleeve."""
    columns = np.arange(mask.shape[1])[None]
    outside = mask & ~torso & ((columns < pit[0] + 2) if side == 0 else (columns > pit[0] - 2))
    if outside.sum() < LEAST_SLEEVE * mask.sum():
        return None
    sleeve = largest_part(outside) & outside
    rows, cols = np.nonzero(sleeve)
    start = (shoulder + pit) / 2
    reach = np.hypot(cols - start[0], rows - start[1])
    if reach.max() < least:
        return None
    way = np.array([cols[reach.argmax()], rows[reach.argmax()]]) - start
    far = reach > 0.6 * reach.max()
    way = np.array([cols[far].mean(), rows[far].mean()]) - start + 0.25 * way
    way = way / np.hypot(*way)
    along = (cols - start[0]) * way[0] + (rows - start[1]) * way[1]
    across = (cols - start[0]) * -way[1] + (rows - start[1]) * way[0]
    end, cuff = along.max(), along > 0.84 * along.max()
    low, high = np.percentile(across[cuff], (4, 96))
    corners = [start + end * way + share * np.array([-way[1], way[0]]) for share in (low, high)]
    # Along the direction outwards, the shoulder is on the right of the left sleeve (y is down).
    outer, inner = (corners[1], corners[0]) if side == 0 else (corners[0], corners[1])
    margin = max(2, round(0.02 * mask.shape[1]))
    reached = ndimage.binary_dilation(sleeve, iterations=margin) & mask
    return Sleeve(shoulder, pit, outer, inner, reached)


def _with_stubs(mask: Mask, torso: Mask, sleeves: list[Sleeve | None], centre: float) -> Mask:
    """The torso with the parts that are too short to be sleeves."""
    columns = np.arange(mask.shape[1])[None]
    for side, sleeve in enumerate(sleeves):
        if sleeve is None:
            torso = torso | (mask & ((columns < centre) if side == 0 else (columns >= centre)))
    return torso
