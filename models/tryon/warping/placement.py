"""Pairs points of a garment with their places on a body: the pieces that the splines warp."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.segmenter.shapes import Mask
from models.tryon.garment.bottoms import Bottom
from models.tryon.garment.tops import Sleeve, Top
from models.tryon.outline import Points, between
from models.tryon.person.legs import leg_tracks
from models.tryon.person.pose import NECK, Labels, Limb, Pose

EASE = 1.02
"""The width of cloth, relative to the body below it."""
USUAL = {"upper": (0.77, 1.09), "dress": (0.58, 1.58), "skirt": (0.72, 0.83), "legs": (0.48, 0.78)}
"""The mean sizes of flat-lay garments, in spans of a body from shoulders to crotch: chest and
length of tops and dresses; waistband and hips of skirts; rise and hips of trousers. Measured on
drawn garments.
"""
CHEST, CHEST_OF_DRESS = 1.02, 0.93
"""The width of a worn garment at the chest, relative to the shoulders."""
LONGEST = 1.65
"""The largest vertical scale of a skirt, relative to the horizontal one."""
HANGS = 0.07
"""The share by which worn tops are narrower below the chest than flat-lay ones."""


@dataclass(frozen=True)
class Piece:
    """A part of a garment that is warped by one spline.

    mask: (h, w) in the garment's picture. source, target: (n, 2), points of the garment and their
    places on the body. over_arms: whether it covers the arms' skin.
    """

    mask: Mask
    source: Points
    target: Points
    over_arms: bool = False


def place_top(top: Top, body: Pose) -> list[Piece]:
    """The pieces from back to front: sleeves, torso, and sleeves of arms in front of the torso."""
    scale = top_scale(top, body)
    source, target, pits = _torso_pairs(top, body, scale)
    torso = Piece(top.torso, source, target)
    behind, front = list[Piece](), list[Piece]()
    for side in (0, 1):
        sleeve, arm = top.sleeves[side], body.arms[side]
        if sleeve is None or arm is None:
            continue
        piece = _place_sleeve(sleeve, arm, body, 1.1 * scale, side, target[2 + side], pits[side])
        (front if _is_in_front(arm, body) else behind).append(piece)
    return [*behind, torso, *front]


def top_scale(top: Top, body: Pose) -> float:
    """Vertical scale: pixels of the body for one of the garment.

    A flat-lay picture does not show a garment's size, so it is estimated from the mean sizes: the
    geometric mean of the scales by chest and by length.
    """
    wide = float(np.ptp(top.sides[0, :, 0]))
    long = float(top.sides[-1, :, 1].mean() - top.shoulders[:, 1].mean())
    usual_wide, usual_long = USUAL["dress" if top.is_dress else "upper"]
    return body.span / float(np.sqrt(max(wide, 1.0) / usual_wide * max(long, 1.0) / usual_long))


def _torso_pairs(top: Top, body: Pose, scale: float) -> tuple[Points, Points, Points]:
    """Points of neck, shoulders and sides, their places, and the places of both armpits."""
    level = float(top.shoulders[:, 1].mean())
    slope = (body.shoulders[1] - body.shoulders[0]) / (2 * body.half)
    middle = body.shoulders.mean(0)
    centre = float(top.shoulders[:, 0].mean())
    wide = float(np.ptp(top.sides[0, :, 0])) / 2
    chest = CHEST_OF_DRESS if top.is_dress else CHEST
    across = chest * body.half / max(wide, 1.0)
    source, target = [*top.neck, *top.shoulders], list[Points]()
    for point in source:
        x = (point[0] - centre) * across
        y = float(np.clip((point[1] - level) * scale, -0.6 * NECK * body.half, 0.2 * body.half))
        target.append(middle + x * slope + np.array([0.0, y]))
    for pair in top.sides:
        below = (pair[:, 1].mean() - level) * scale
        y = body.top + below
        for point, x in zip(pair, _side_places(pair, body, across, y), strict=True):
            tilt = slope[1] * (x - middle[0]) * max(0.0, 1 - below / (2 * body.half))
            source.append(point)
            target.append(np.array([x, y + tilt]))
    return np.array(source), np.array(target), np.array(target[4:6])


def _side_places(
    pair: NDArray[np.float64], body: Pose, across: float, y: float
) -> tuple[float, float]:
    """A garment's left and right edge at a row, by the body's edges and its own width."""
    fall = float(np.clip((y - body.top - 0.4 * body.span) / (0.3 * body.span), 0.0, 1.0))
    half = (pair[1, 0] - pair[0, 0]) / 2 * across * (1 - HANGS * fall)
    left, right = body.edges(min(y, body.crotch))
    middle = body.spine(y)
    share = float(np.clip((y - body.waist) / max(body.crotch - body.waist, 1.0), 0.0, 1.0))
    most = 1.5 + share * 1.6
    reach = [
        float(np.clip(half, EASE * edge, most * edge))
        for edge in (max(middle - left, 1.0), max(right - middle, 1.0))
    ]
    return middle - reach[0], middle + reach[1]


def _is_in_front(arm: Limb, body: Pose) -> bool:
    """Whether the forearm crosses the torso."""
    x, y = arm.at(0.85)[0]
    left, right = body.edges(float(y))
    inset = 0.12 * (right - left)
    return bool(y < body.crotch and left + inset < x < right - inset)


def _place_sleeve(
    sleeve: Sleeve, arm: Limb, body: Pose, scale: float, side: int, tip: Points, pit: Points
) -> Piece:
    """Places a sleeve along the arm, at its own length but not beyond the wrist."""
    along = (sleeve.outer_end + sleeve.inner_end - sleeve.outer_start - sleeve.inner_start) / 2
    long = float(np.hypot(*along)) * scale
    wrist = max(arm.length - 0.62 * body.half, 0.6 * arm.length)
    reach = wrist if long > 0.78 * wrist else long
    cuff = float(np.hypot(*(sleeve.outer_end - sleeve.inner_end))) / 2 * scale
    source = [sleeve.outer_start, sleeve.inner_start]
    target = [tip, pit]
    for share in (0.35, 0.7, 1.0) if reach > 1.2 * body.half else (1.0,):
        where, normal, half = arm.at(share * reach / arm.length)
        wide = float(np.clip(0.9 * cuff, 1.05 * half, 1.45 * half + 0.04 * body.half))
        outer = normal if side == 0 else -normal
        start = 1.0 - share if share < 0.5 else 0.0
        edges = [where + outer * wide, where - outer * wide]
        for edge, first, last, own in (
            (edges[0], sleeve.outer_start, sleeve.outer_end, tip),
            (edges[1], sleeve.inner_start, sleeve.inner_end, pit),
        ):
            source.append(between(first, last, share))
            straight = between(own, edge, share)
            target.append(between(edge, straight, 0.4 * start))
    return Piece(sleeve.mask, np.array(source), np.array(target), over_arms=True)


def place_bottom(bottom: Bottom, body: Pose, labels: Labels) -> list[Piece]:
    """One piece, from the waistband to the hem."""
    scale = bottom_scale(bottom, body)
    if bottom.legs is None:
        return [_place_skirt(bottom, body, scale)]
    return [_place_legs(bottom, bottom.legs, body, labels, scale)]


def bottom_scale(bottom: Bottom, body: Pose) -> float:
    """Like `top_scale`, by the waistband of a skirt or the rise of trousers, and by the hips."""
    hips = float(np.ptp(bottom.sides[1][:, 0]))
    if bottom.legs is None:
        first, usual = float(np.ptp(bottom.sides[0][:, 0])), USUAL["skirt"]
    else:
        first = float(bottom.sides[-1][:, 1].mean() - bottom.sides[0][:, 1].mean())
        usual = USUAL["legs"]
    return body.span / float(np.sqrt(max(first, 1.0) / usual[0] * max(hips, 1.0) / usual[1]))


def _place_skirt(bottom: Bottom, body: Pose, scale: float) -> Piece:
    """A skirt, narrowed from its flat width to the body that it goes around."""
    first = bottom.sides[0]
    left, right = body.edges(body.waist)
    across = EASE * (right - left) / max(first[1, 0] - first[0, 0], 1.0)
    low = body.edges(body.crotch)
    hip = EASE * (low[1] - low[0]) / max(float(np.ptp(bottom.sides[1][:, 0])), 1.0)
    across = float(np.clip(across, 0.85 * hip, 1.2 * hip))
    scale = float(np.clip(scale, across, LONGEST * across))
    source, target = [], []
    for pair in bottom.sides:
        y = body.waist + (pair[:, 1].mean() - first[:, 1].mean()) * scale
        middle = body.spine(y)
        share = np.clip((y - body.waist) / max(body.crotch - body.waist, 1), 0, 1)
        edges = body.edges(min(y, body.crotch))
        reach = [max(middle - edges[0], 1.0), max(edges[1] - middle, 1.0)]
        half = (pair[1, 0] - pair[0, 0]) / 2 * across
        for side, sign in ((0, -1), (1, 1)):
            out = float(np.clip(half, EASE * reach[side], (1.1 + 2.2 * share) * reach[side]))
            source.append(pair[side])
            target.append(np.array([middle + sign * out, min(y, body.ankle)]))
    return Piece(bottom.mask, np.array(source), np.array(target))


def _place_legs(
    bottom: Bottom,
    legs: tuple[NDArray[np.float64], NDArray[np.float64]],
    body: Pose,
    labels: Labels,
    scale: float,
) -> Piece:
    source, target = [], []
    first, last = bottom.sides[0], bottom.sides[-1]
    rise = max(float(last[:, 1].mean() - first[:, 1].mean()), 1.0)
    crotch = max(body.crotch, body.waist + 0.95 * rise * scale)
    for pair in bottom.sides:
        share = (pair[:, 1].mean() - first[:, 1].mean()) / rise
        y = body.waist + share * (crotch - body.waist)
        left, right = body.edges(y)
        middle = (left + right) / 2
        for point, x in zip(pair, (left, right), strict=True):
            source.append(point)
            target.append(np.array([middle + EASE * (x - middle), y]))
    hips = body.edges(body.crotch)
    across = (hips[1] - hips[0]) / max(float(np.ptp(last[:, 0])), 1.0)
    long = (legs[0][-1, 0, 1] - last[:, 1].mean()) * scale
    long = _leg_length(long, crotch, body)
    tracks = leg_tracks(labels, body)
    for side in (0, 1):
        for number, pair in enumerate(legs[side]):
            share = number / (len(legs[side]) - 1)
            y = crotch + share * long
            edges = _leg_places(pair, tracks[side], y, across, body)
            for inner, (point, x) in enumerate(zip(pair, edges, strict=True)):
                if number == 0 and inner == 1 - side:
                    if side == 0:
                        source.append((legs[0][0, 1] + legs[1][0, 0]) / 2)
                        target.append(np.array([sum(hips) / 2, y]))
                elif number > 0:
                    source.append(point)
                    target.append(np.array([x, y]))
    return Piece(bottom.mask, np.array(source), np.array(target))


def _leg_length(long: float, crotch: float, body: Pose) -> float:
    """The length of trousers below the crotch; those that nearly reach the ankle reach it."""
    room = body.ankle - crotch
    if long > 0.8 * room:
        return float(np.clip(long, 0.96 * room, 1.04 * room))
    return max(long, 0.12 * room)


def _leg_places(
    pair: NDArray[np.float64], track: NDArray[np.float64], y: float, across: float, body: Pose
) -> tuple[float, float]:  # fmt: skip
    """Left and right edge of one trouser leg: its own width, within limits, around the leg."""
    row = int(np.clip(round(y), 0, len(track) - 1))
    left, right = track[row]
    leg = min((right - left) / 2, 0.44 * body.half)
    wide = float(np.clip((pair[1, 0] - pair[0, 0]) / 2 * across, 0.95 * leg, 1.35 * leg + 1))
    return (left + right) / 2 - wide, (left + right) / 2 + wide
