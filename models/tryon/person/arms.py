"""Finds arms and hands: traced where they are apart from the torso, else along the outline."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.segmenter.atr import ARMS, DRESS, UPPER, Atr, mask_of
from models.segmenter.shapes import Mask
from models.tryon.outline import Points, between, largest_part, travel
from models.tryon.person.pose import ARM, HAND, STEPS, Labels, Limb, Pose

BOTH_ARMS = (Atr.LEFT_ARM, Atr.RIGHT_ARM)


def find_arm(labels: Labels, body: Pose, side: int) -> Limb | None:
    """The middle line of one arm; None where neither sleeve nor hand is visible."""
    columns, rows = np.arange(labels.shape[1])[None], np.arange(len(labels))[:, None]
    outer = columns < body.trunk[:, 0, None] if side == 0 else columns > body.trunk[:, 1, None]
    skin = mask_of(labels, ARMS) & _on_side(labels, body, side)
    sleeve = mask_of(labels, UPPER | DRESS) & outer & (rows < body.crotch + 0.4 * body.half)
    sign = -1.0 if side == 0 else 1.0
    joint = body.shoulders[side] + np.array([-0.2 * sign, 0.22]) * body.half
    near = np.hypot(columns - joint[0], rows - joint[1]) < 0.34 * body.half
    region = ndimage.binary_closing(skin | sleeve | near, iterations=2)
    distance = travel(region, joint)
    reached = np.isfinite(distance)
    length = float(distance[reached].max(initial=0.0))
    if length > 0.68 * ARM * body.half:
        traced = _middle_line(distance, reached, joint, length, body.half)
        if 0.68 * ARM * body.half < traced.length < 1.35 * ARM * body.half:
            return traced
    return _outlined_arm(labels, body, skin, joint, sign)


def _outlined_arm(
    labels: Labels, body: Pose, skin: Mask, joint: Points, sign: float
) -> Limb | None:
    """An arm whose sleeve touches the torso: along the outline to the elbow, then to the hand."""
    worn = mask_of(labels, UPPER | DRESS | ARMS)
    line = [joint]
    for share in (0.25, 0.5, 0.75, 1.0):
        y = joint[1] + share * 0.48 * ARM * body.half
        line.append(np.array([_outline_at(worn, body, y, sign) - sign * 0.27 * body.half, y]))
    hand = largest_part(skin)
    is_visible = hand.sum() > 0.03 * body.half**2
    end = np.array([np.nonzero(hand)[axis].mean() for axis in (1, 0)]) if is_visible else line[-1]
    reach = end - line[-1]
    if np.hypot(*reach) > 0.6 * body.half:
        longest = 0.62 * ARM * body.half
        end = line[-1] + reach * min(1.0, longest / (np.hypot(*reach) + 1e-9))
    else:
        y = joint[1] + 0.86 * ARM * body.half
        end = np.array([_outline_at(worn, body, y, sign) - sign * 0.24 * body.half, y])
    line += [between(line[-1], end, share) for share in (0.33, 0.67, 1.0)]
    smooth = ndimage.gaussian_filter1d(np.array(line), 0.7, axis=0, mode="nearest")
    smooth[0], smooth[-1] = joint, end
    return Limb(smooth, np.linspace(0.31, 0.2, len(line)) * body.half)


def _outline_at(worn: Mask, body: Pose, y: float, sign: float) -> float:
    """The outer column of clothes and arms in a row, within reach of a hanging arm."""
    row = int(np.clip(round(y), 0, len(worn) - 1))
    tip = body.shoulders[0 if sign < 0 else 1][0]
    low, high = sorted((tip - sign * 0.35 * body.half, tip + sign * 0.7 * body.half))
    columns = np.flatnonzero(worn[row])
    columns = columns[(columns >= low) & (columns <= high)]
    if not len(columns):
        return float(tip)
    return float(columns.min() if sign < 0 else columns.max())


def _on_side(labels: Labels, body: Pose, side: int) -> Mask:
    """The pixels of one side: by label if both arms are labelled, else by half of the body."""
    columns, rows = np.arange(labels.shape[1])[None], np.arange(len(labels))[:, None]
    middle = body.axis[0] + (body.axis[1] - body.axis[0]) * np.clip(
        (rows - body.top) / max(body.crotch - body.top, 1.0), 0.0, 1.0
    )
    half = columns < middle if side == 0 else columns >= middle
    counts = [int((labels == arm).sum()) for arm in BOTH_ARMS]
    if min(counts) < 0.25 * max(counts) or min(counts) < 12:
        return np.broadcast_to(half, labels.shape)
    centres = [float(np.nonzero(labels == arm)[1].mean()) for arm in BOTH_ARMS]
    if abs(centres[0] - centres[1]) < 0.5 * body.half:
        return np.broadcast_to(half, labels.shape)
    own = BOTH_ARMS[int(np.argsort(centres)[side])]
    mask: Mask = labels == own
    return mask


def _middle_line(
    distance: NDArray[np.float64], reached: Mask, joint: Points, length: float, unit: float
) -> Limb:
    """The centres of stretches at equal distances from the joint, and half their widths."""
    rows, columns = np.nonzero(reached)
    which = np.minimum((distance[reached] / length * STEPS).astype(int), STEPS - 1)
    line, half = [joint], [0.3 * unit]
    for step in range(1, STEPS):
        here = which == step
        if here.sum() < 2:
            continue
        line.append(np.array([columns[here].mean(), rows[here].mean()]))
        half.append(min(here.sum() / (length / STEPS) / 2, 0.42 * unit))
    smooth = ndimage.gaussian_filter1d(np.array(line), 1.3, axis=0, mode="nearest")
    smooth[0] = joint
    widths = ndimage.gaussian_filter1d(np.array(half), 1.0, mode="nearest")
    return Limb(smooth, widths)


def find_hands(labels: Labels, body: Pose, arms: list[Limb | None]) -> Mask:
    """The skin at the end of each arm, as long as a hand."""
    hands = np.zeros(labels.shape, bool)
    for side, arm in enumerate(arms):
        skin = mask_of(labels, ARMS) & _on_side(labels, body, side)
        if not skin.any():
            continue
        if arm is None:
            hands |= skin & (skin.sum() < 0.5 * body.half**2)
            continue
        distance = travel(skin | _near(skin.shape, arm), arm.line[0])
        finite = np.isfinite(distance) & skin
        lost = skin & ~np.isfinite(distance)
        if finite.any():
            end = distance[finite].max()
            hands |= finite & (distance > max(end - HAND * body.half, 1.2 * body.half))
        hands |= lost & (lost.sum() < 0.6 * body.half**2)
    return hands


def _near(shape: tuple[int, ...], arm: Limb) -> Mask:
    """The pixels around an arm's line; they bridge gaps of the parse map."""
    mask = np.zeros(shape, bool)
    for share in np.linspace(0.0, 1.0, 60):
        x, y = arm.at(float(share))[0]
        row, column = round(float(y)), round(float(x))
        if 0 <= row < shape[0] and 0 <= column < shape[1]:
            mask[row, column] = True
    return np.asarray(ndimage.binary_dilation(mask, iterations=2))
