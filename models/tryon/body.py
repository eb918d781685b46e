"""Where a body's shoulders, torso, arms and legs are, derived from a parse map of 18 labels."""

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from errors import Invalid
from models.tryon.outline import (
    Mask,
    Points,
    between,
    bounds,
    central_run,
    extreme,
    largest_part,
    runs,
    travel,
)

Labels = NDArray[np.uint8]
"""Shape (h, w), uint8: the 18 ATR classes."""

Kind = TypeVar("Kind", bound=np.generic)

HAT, HAIR, SUNGLASSES, UPPER, SKIRT, PANTS, DRESS, BELT = range(1, 9)
LEFT_SHOE, RIGHT_SHOE, FACE, LEFT_LEG, RIGHT_LEG, LEFT_ARM, RIGHT_ARM, BAG, SCARF = range(9, 18)
HEAD = (HAT, HAIR, SUNGLASSES, FACE)
ARMS = (LEFT_ARM, RIGHT_ARM)
LEGS = (LEFT_LEG, RIGHT_LEG)
SHOES = (LEFT_SHOE, RIGHT_SHOE)
LOWER = (SKIRT, PANTS)

# Measures of a grown body in halves of its shoulder width (Pheasant, Bodyspace, rounded): used
# where the picture or the parse map shows nothing better.
NECK, CROTCH, ARM = 0.42, 2.75, 2.75
HAND, STATURE = 0.8, 8.6
TO_WAIST, TO_ANKLE = 0.635, 2.34
"""From the shoulders down, in shares of the way from the shoulders to the crotch."""
STEPS = 14
NARROWEST, WIDEST = 0.85, 1.6
"""How far a shoulder is from the middle, in heights of the face, at least and at most."""
NEAR_WAIST = 0.42
LEAST_BARE = 0.03
"""Face, hair and limbs are more than this share of a person, but not of a garment lying flat."""


@dataclass(frozen=True)
class Limb:
    """An arm or a leg: its middle line from the joint to the end, and half its width there.

    line: (k, 2), half: (k,).
    """

    line: Points
    half: NDArray[np.float64]

    @property
    def length(self) -> float:
        """Along the line."""
        return float(np.hypot(*np.diff(self.line, axis=0).T).sum())

    def at(self, share: float) -> tuple[Points, Points, float]:
        """Point, unit normal (to the right of the way along) and half width at a share of it."""
        steps = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(self.line, axis=0).T))))
        where = share * steps[-1]
        point = np.array([np.interp(where, steps, axis) for axis in self.line.T])
        ahead, behind = min(where + 0.12 * steps[-1], steps[-1]), max(where - 0.12 * steps[-1], 0.0)
        way = np.array([np.interp(ahead, steps, a) - np.interp(behind, steps, a)
                        for a in self.line.T])  # fmt: skip
        way = way / (np.hypot(*way) + 1e-9)
        return point, np.array([-way[1], way[0]]), float(np.interp(where, steps, self.half))


@dataclass(frozen=True)
class Body:
    """A body that stands upright in a picture; "left" is the picture's left everywhere.

    neck, shoulders: left and right point, (2, 2). half: half the shoulder width, the unit of
    all measures. axis: x of the spine at the neck and at the hip. waist, crotch, ankle: rows.
    span: from the shoulders down to where the legs begin, the unit of lengths; the crotch of
    clothes may hang lower. tucked: whether trousers or a skirt are seen up to the waist.
    trunk: left and right edge of the torso without arms a row, (h, 2), NaN where there is none.
    arms: left and right, None where not seen. hands: (h, w). seen_to: the last row of the body.
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
    seen_to: float
    span: float
    tucked: bool

    @property
    def top(self) -> float:
        """The row of the shoulders."""
        return float(self.shoulders[:, 1].mean())

    def spine(self, y: float) -> float:
        """X of the middle of the body at a row."""
        share = (y - self.top) / max(self.crotch - self.top, 1.0)
        return float(self.axis[0] + (self.axis[1] - self.axis[0]) * np.clip(share, 0.0, 1.0))

    def edges(self, y: float) -> tuple[float, float]:
        """Left and right edge of torso, hips or legs at a row, taken from the nearest known one."""
        row = int(np.clip(round(y), 0, len(self.trunk) - 1))
        known = np.flatnonzero(~np.isnan(self.trunk[:, 0]))
        if not len(known):
            middle = self.spine(y)
            return middle - 0.8 * self.half, middle + 0.8 * self.half
        nearest = known[np.abs(known - row).argmin()]
        return float(self.trunk[nearest, 0]), float(self.trunk[nearest, 1])

    def scaled(self, shape: tuple[int, int]) -> "Body":
        """The same body on a map of another shape (h, w) of the same proportions."""
        share = shape[0] / len(self.trunk)
        rows = (np.arange(shape[0]) + 0.5) / share - 0.5
        known = np.arange(len(self.trunk))
        trunk = np.stack([np.interp(rows, known, edge) * share for edge in self.trunk.T], axis=1)
        arms = [arm and Limb(arm.line * share, arm.half * share) for arm in self.arms]
        return Body(
            self.neck * share, self.shoulders * share, self.half * share,
            (self.axis[0] * share, self.axis[1] * share), self.waist * share,
            self.crotch * share, self.ankle * share, trunk, (arms[0], arms[1]),
            resized(self.hands, shape), self.seen_to * share, self.span * share, self.tucked,
        )  # fmt: skip


def resized(labels: NDArray[Kind], shape: tuple[int, int]) -> NDArray[Kind]:
    """A map (h, w) at another shape, nearest neighbour."""
    rows = ((np.arange(shape[0]) + 0.5) * labels.shape[0] / shape[0]).astype(int)
    columns = ((np.arange(shape[1]) + 0.5) * labels.shape[1] / shape[1]).astype(int)
    taken: NDArray[Kind] = labels[rows][:, columns]
    return taken


def find_person(labels: Labels) -> Mask:
    """The largest person on the map.

    Raises:
        Invalid: there is none, or there are two.
    """
    whole = np.isin(labels, (0, BAG), invert=True)
    person = largest_part(whole) & (labels > 0)
    dressed = np.isin(labels, (UPPER, DRESS, SKIRT, PANTS, *ARMS, *LEGS)) & person
    bare = np.isin(labels, (FACE, HAIR, *ARMS, *LEGS)) & person
    if dressed.mean() < 0.01 or bare.sum() < LEAST_BARE * person.sum():
        raise Invalid("personUrl: no person with visible clothes was found in the picture")
    faces, count = ndimage.label(labels == FACE)
    sizes = np.sort(np.bincount(faces.ravel())[1:])[::-1]
    parts, _ = ndimage.label(whole, np.ones((3, 3)))
    areas = np.sort(np.bincount(parts.ravel())[1:])[::-1]
    crowd = count > 1 and sizes[1] > 0.5 * sizes[0] and len(areas) > 1 and areas[1] > 0.5 * areas[0]
    if crowd:
        raise Invalid("personUrl: the picture shows two people; crop it to one")
    return person


def find_body(labels: Labels) -> Body:
    """Landmarks of the largest person.

    Raises:
        Invalid: no person, two people, or nothing of a body to put a garment on.
    """
    person = find_person(labels)
    labels = np.where(person, labels, 0).astype(np.uint8)
    shoulders, half = _find_shoulders(labels)
    top = float(shoulders[:, 1].mean())
    middle = float(shoulders[:, 0].mean())
    levels = _find_levels(labels, top, half)
    crotch = levels.crotch
    hip = _hip_middle(labels, middle, crotch, half)
    neck = np.array([[between(shoulders[0], shoulders[1], share)[0], 0.0] for share in (0.3, 0.7)])
    neck[:, 1] = top - NECK * half * 0.55
    seen_to = float(bounds(person)[3])
    body = Body(
        neck, shoulders, half, (middle, hip), levels.waist, crotch, levels.ankle,
        np.full((len(labels), 2), np.nan), (None, None), np.zeros_like(person), seen_to,
        levels.span, levels.tucked,
    )  # fmt: skip
    body = replace(body, trunk=_find_trunk(labels, body))
    arms = [_find_arm(labels, body, side) for side in (0, 1)]
    hands = _find_hands(labels, body, arms)
    return replace(body, arms=(arms[0], arms[1]), hands=hands)


def _find_shoulders(labels: Labels) -> tuple[Points, float]:
    """Both tips of the shoulders and half their distance, held to what the head allows."""
    trunk = np.isin(labels, (UPPER, DRESS, *ARMS))
    if not trunk.any():
        return _shoulders_above(labels)
    middle, start, tall, seen = _head_of(labels, trunk)
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
    if seen:
        half = float(np.clip(half, NARROWEST * tall, WIDEST * tall))
    half = _held_to_stature(max(half, 1.0), labels)
    for number, side in enumerate(sides):  # what looks like a tip near the neck is a scarf's edge
        out = np.abs(columns - middle) > 0.75 * half
        if reach[number] < 0.7 * half and (side & out).any():
            tips[number] = extreme(side & out, (0.0, -1.0))
    known = [tip for tip in tips if tip is not None]
    level = float(np.mean([tip[1] for tip in known])) if known else start + 0.4 * tall
    if not even and len(known) == 2:
        level = float(known[int(np.argmin(reach))][1])
    centre = middle + 0.5 * (reach[1] - reach[0]) if even else middle
    steep = known[-1][1] - known[0][1] if len(known) == 2 and even else 0.0
    slope = np.clip(steep, -0.5 * half, 0.5 * half)
    return np.array([[centre - half, level - slope / 2], [centre + half, level + slope / 2]]), half


def _head_of(labels: Labels, trunk: Mask) -> tuple[float, int, float, bool]:
    """The head's middle column, the first row a shoulder may be in, its height, and whether it is
    seen; where it isn't, what the trunk lets expect.
    """
    face = largest_part(np.isin(labels, (FACE, SUNGLASSES)))
    head = face if face.any() else labels == HAIR
    first = bounds(trunk)[1]
    if not head.any():
        x0, _, x1, _ = bounds(trunk)
        return (x0 + x1) / 2, first, max(0.6 * (x1 - x0), 1.0), False
    x0, y0, x1, y1 = bounds(head)
    # Some parse maps count neck and chest as face.
    tall = float(max(np.clip(y1 - y0, 1.2 * (x1 - x0), 1.5 * (x1 - x0)), 1))
    return (x0 + x1) / 2, max(first, round(y0 + 0.45 * tall)), tall, True


def _held_to_stature(half: float, labels: Labels) -> float:
    """Where the whole figure is in the picture, the shoulders are a known share of the stature."""
    _, top, _, bottom = bounds(labels > 0)
    if top < 2 or bottom > len(labels) - 3 or not np.isin(labels, (*SHOES, *LOWER, *LEGS)).any():
        return half
    usual = (bottom - top) / STATURE
    return float(np.clip(half, 0.82 * usual, 1.18 * usual))


def _shoulders_above(labels: Labels) -> tuple[Points, float]:
    """A picture of legs alone: where the shoulders would be above it."""
    lower = np.isin(labels, (*LOWER, *LEGS))
    if not lower.any():
        raise Invalid("personUrl: no clothes, arms or legs of the person can be seen")
    x0, y0, x1, _ = bounds(lower)
    half, middle = max((x1 - x0) / 1.7, 1.0), (x0 + x1) / 2
    level = y0 - TO_WAIST * CROTCH * half
    return np.array([[middle - half, level], [middle + half, level]]), half


@dataclass(frozen=True)
class _Levels:
    """Rows of waist, crotch and ankles; span and tucked as `Body` has them."""

    waist: float
    crotch: float
    ankle: float
    span: float
    tucked: bool


def _find_levels(labels: Labels, top: float, half: float) -> _Levels:
    """Seen where they can be, else by proportion."""
    legs, shoes = np.isin(labels, (*LOWER, *LEGS, *SHOES)), np.isin(labels, SHOES)
    span = CROTCH * half
    ankle = top + TO_ANKLE * span
    if legs.any() and (last := bounds(legs)[3]) < len(labels) - 2:
        ankle = bounds(shoes)[1] + 0.35 * half if shoes.any() else last - 0.2 * half
        ankle = float(np.clip(ankle, top + 4.2 * half, max(last, top + 4.2 * half)))
        span = 0.3 * span + 0.7 * (ankle - top) / TO_ANKLE
    waist = top + TO_WAIST * span
    lower, tucked = np.isin(labels, LOWER), False
    if lower.any():
        first = float(bounds(lower)[1])
        tucked = abs(first - waist) < NEAR_WAIST * half
        waist = first if tucked else waist
    split = _find_split(np.isin(labels, (PANTS, *LEGS)), top, half, top + span)
    return _Levels(waist, top + span if split is None else split, ankle, span, tucked)


def _find_split(legs: Mask, top: float, half: float, guess: float) -> float | None:
    """The row from which two legs stay apart, if that is near where a crotch can be."""

    def is_split(y: int) -> bool:
        found = [run for run in runs(legs[y]) if run[1] - run[0] > 0.16 * half]
        return len(found) >= 2 and found[1][0] - found[0][1] > 1

    reach = max(2, round(0.5 * half))
    for y in range(round(top + 1.9 * half), min(len(legs) - reach, round(guess + 0.9 * half))):
        if y >= 0 and all(is_split(y + ahead) for ahead in range(0, reach, 2)):
            return float(np.clip(y, guess - 0.5 * half, guess + 0.6 * half))
    return None


def _hip_middle(labels: Labels, middle: float, crotch: float, half: float) -> float:
    """X of the middle of the hips."""
    low, high = round(crotch - 0.8 * half), round(crotch)
    zone = np.isin(labels, (UPPER, DRESS, *LOWER, *LEGS))[max(low, 0) : max(high, 1)]
    centres = [
        (run[0] + run[1]) / 2 for row in zone if (run := central_run(row, middle)) is not None
    ]
    hip = float(np.median(centres)) if centres else middle
    return float(np.clip(hip, middle - 0.8 * half, middle + 0.8 * half))


def _find_trunk(labels: Labels, body: Body) -> NDArray[np.float64]:
    """The torso's and the legs' outer edges a row; wide clothes and sleeves are held to the body.

    The limits are a body's: 0.84 of the shoulders at the chest, 0.74 at the waist, 0.86 at the hip.
    """
    worn = np.isin(labels, (UPPER, DRESS, BELT, *LOWER, *LEGS))
    trunk = np.full((len(labels), 2), np.nan)
    rows = np.array([body.top, body.top + 0.8 * body.half, body.waist, body.crotch])
    least, most = np.array([0.62, 0.62, 0.5, 0.55]), np.array([0.92, 0.9, 0.8, 0.95])
    for y in range(max(0, round(body.top)), len(labels)):
        middle = body.spine(y)
        run = central_run(worn[y], middle)
        if run is None or run[0] > middle or run[1] < middle:
            if y > body.crotch and (found := runs(worn[y])):
                trunk[y] = found[0][0], found[-1][1]
            continue
        if y > body.crotch:
            found = [one for one in runs(worn[y]) if one[1] - one[0] > 2] or [run]
            trunk[y] = found[0][0], found[-1][1]
            continue
        low, high = (np.interp(y, rows, limit) * body.half for limit in (least, most))
        trunk[y] = (
            middle - np.clip(middle - run[0], low, high),
            middle + np.clip(run[1] - middle, low, high),
        )
    smooth = ndimage.gaussian_filter1d(_filled(trunk), 2.0, axis=0, mode="nearest")
    return np.asarray(smooth)


def _filled(trunk: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unknown rows between known ones are interpolated, those outside repeat the nearest."""
    known = np.flatnonzero(~np.isnan(trunk[:, 0]))
    if not len(known):
        return trunk
    rows = np.arange(len(trunk))
    return np.stack([np.interp(rows, known, trunk[known, side]) for side in (0, 1)], axis=1)


def _find_arm(labels: Labels, body: Body, side: int) -> Limb | None:
    """The middle line of one arm: traced where it is apart from the torso, else by its outline."""
    columns, rows = np.arange(labels.shape[1])[None], np.arange(len(labels))[:, None]
    outer = columns < body.trunk[:, 0, None] if side == 0 else columns > body.trunk[:, 1, None]
    skin = np.isin(labels, ARMS) & _on_side(labels, body, side)
    sleeve = np.isin(labels, (UPPER, DRESS)) & outer & (rows < body.crotch + 0.4 * body.half)
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
    labels: Labels, body: Body, skin: Mask, joint: Points, sign: float
) -> Limb | None:
    """An arm in a sleeve that touches the torso: along the outline to the elbow, then to the hand.

    None where nothing of a sleeve or a hand is seen.
    """
    worn = np.isin(labels, (UPPER, DRESS, *ARMS))
    line = [joint]
    for share in (0.25, 0.5, 0.75, 1.0):
        y = joint[1] + share * 0.48 * ARM * body.half
        line.append(np.array([_outline_at(worn, body, y, sign) - sign * 0.27 * body.half, y]))
    hand = largest_part(skin)
    seen = hand.sum() > 0.03 * body.half**2
    end = np.array([np.nonzero(hand)[axis].mean() for axis in (1, 0)]) if seen else line[-1]
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


def _outline_at(worn: Mask, body: Body, y: float, sign: float) -> float:
    """The outer column of clothes and arms in a row, near where a hanging arm can be."""
    row = int(np.clip(round(y), 0, len(worn) - 1))
    tip = body.shoulders[0 if sign < 0 else 1][0]
    low, high = sorted((tip - sign * 0.35 * body.half, tip + sign * 0.7 * body.half))
    seen = np.flatnonzero(worn[row])
    seen = seen[(seen >= low) & (seen <= high)]
    if not len(seen):
        return float(tip)
    return float(seen.min() if sign < 0 else seen.max())


def _on_side(labels: Labels, body: Body, side: int) -> Mask:
    """Which half of the picture, or which label where both arms are told apart, is this side's."""
    columns, rows = np.arange(labels.shape[1])[None], np.arange(len(labels))[:, None]
    middle = body.axis[0] + (body.axis[1] - body.axis[0]) * np.clip(
        (rows - body.top) / max(body.crotch - body.top, 1.0), 0.0, 1.0
    )
    half = columns < middle if side == 0 else columns >= middle
    counts = [int((labels == arm).sum()) for arm in ARMS]
    if min(counts) < 0.25 * max(counts) or min(counts) < 12:
        return np.broadcast_to(half, labels.shape)
    centres = [float(np.nonzero(labels == arm)[1].mean()) for arm in ARMS]
    if abs(centres[0] - centres[1]) < 0.5 * body.half:
        return np.broadcast_to(half, labels.shape)
    own = ARMS[int(np.argsort(centres)[side])]
    mask: Mask = labels == own
    return mask


def _middle_line(
    distance: NDArray[np.float64], reached: Mask, joint: Points, length: float, unit: float
) -> Limb:
    """Centres of the stretches that are equally far from the joint, and half their widths."""
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


def _find_hands(labels: Labels, body: Body, arms: list[Limb | None]) -> Mask:
    """The skin of each arm's last part, a hand long."""
    hands = np.zeros(labels.shape, bool)
    for side, arm in enumerate(arms):
        skin = np.isin(labels, ARMS) & _on_side(labels, body, side)
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
    """The tube around an arm's line, which bridges what the map left out."""
    mask = np.zeros(shape, bool)
    for share in np.linspace(0.0, 1.0, 60):
        x, y = arm.at(float(share))[0]
        row, column = round(float(y)), round(float(x))
        if 0 <= row < shape[0] and 0 <= column < shape[1]:
            mask[row, column] = True
    return np.asarray(ndimage.binary_dilation(mask, iterations=2))
