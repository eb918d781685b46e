"""A drawn person's body: measures, pose, and the outlines of skin, hair and face.

Coordinates: the person's height is 1, y runs down from the top of the head, x from the middle
line. Everyone faces us: the wearer's left is at positive x. Sides are the wearer's.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import cos, hypot, radians, sin

from numpy.random import Generator

from drawing.outline import Part, Point, chance, closed, smooth, uniform

Line = list[Point]


@dataclass(frozen=True)
class BodyShape:
    """Measures (shares of the height) and joints. arms, legs: (right, left) lines of three joints:
    shoulder, elbow, wrist; hip, knee, ankle. in_front: whether each arm is in front of the torso.
    """

    shoulder: float
    waist: float
    hip: float
    limb: float
    arms: tuple[Line, Line]
    legs: tuple[Line, Line]
    in_front: tuple[bool, bool]
    chin_y: float = 0.128
    neck_y: float = 0.16
    shoulder_y: float = 0.185
    waist_y: float = 0.395
    crotch_y: float = 0.515
    ankle_y: float = 0.945

    def landmarks(self) -> dict[str, Point]:
        """Named points: neck, shoulders, elbows, wrists, waist and hip sides, knees, ankles."""
        points: dict[str, Point] = {"neck": (0.0, self.neck_y)}
        for side, sign, arm, leg in zip(("right", "left"), (-1, 1), self.arms, self.legs,
                                        strict=True):  # fmt: skip
            points |= dict(zip((f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist"), arm,
                              strict=True))  # fmt: skip
            points |= dict(zip((f"{side}_hip_joint", f"{side}_knee", f"{side}_ankle"), leg,
                              strict=True))  # fmt: skip
            points[f"{side}_waist"] = (sign * self.waist, self.waist_y)
            points[f"{side}_hip"] = (sign * self.hip, self.crotch_y - 0.03)
        return points


def choose_body(rng: Generator) -> BodyShape:
    """A body and pose: arms down, akimbo, bent or across the front; legs together to apart."""
    stout = uniform(rng, 0.0, 1.0)
    shoulder = 0.1 + 0.022 * stout + uniform(rng, -0.006, 0.008)
    hip = 0.078 + 0.024 * stout + uniform(rng, -0.005, 0.008)
    stance, bent = uniform(rng, 0.6, 1.7), uniform(rng, -0.018, 0.018)
    arms, fronts, legs = [], [], []
    for sign in (-1, 1):
        arm, front = _arm(sign, shoulder - 0.012, rng)
        arms.append(arm)
        fronts.append(front)
        knee = (sign * (0.045 * stance + 0.01) + bent, 0.725 + uniform(rng, -0.008, 0.008))
        foot = (sign * 0.05 * stance * uniform(rng, 0.7, 1.25) + bent * 0.5, 0.945)
        legs.append([(sign * 0.048, 0.48), knee, foot])
    return BodyShape(
        shoulder, 0.062 + 0.03 * stout, hip, 0.024 + 0.008 * stout, (arms[0], arms[1]),
        (legs[0], legs[1]), (fronts[0], fronts[1]),
    )  # fmt: skip


def _arm(sign: int, at: float, rng: Generator) -> tuple[Line, bool]:
    """Shoulder, elbow and wrist; angles from straight down, outward positive."""
    pose = str(rng.choice(["down", "down", "akimbo", "bent", "across", "raised"],
                          p=[0.3, 0.3, 0.12, 0.13, 0.11, 0.04]))  # fmt: skip
    upper, lower = {
        "down": (uniform(rng, 4, 18), uniform(rng, -4, 16)),
        "akimbo": (uniform(rng, 32, 46), uniform(rng, -55, -38)),
        "bent": (uniform(rng, 8, 26), uniform(rng, 30, 85)),
        "across": (uniform(rng, 6, 20), uniform(rng, -105, -62)),
        "raised": (uniform(rng, 25, 70), uniform(rng, 110, 165)),
    }[pose]
    shoulder = (sign * at, 0.2)
    a, b = radians(upper), radians(lower)
    elbow = (shoulder[0] + sign * 0.165 * sin(a), shoulder[1] + 0.165 * cos(a))
    wrist = (elbow[0] + sign * 0.145 * sin(b), elbow[1] + 0.145 * cos(b))
    return [shoulder, elbow, wrist], pose in ("across", "raised") or chance(rng, 0.25)


def along(line: Line, distance: float) -> tuple[Point, Point]:
    """The point at a distance along a line, or beyond its end, and the unit direction there."""
    for (ax, ay), (bx, by) in pairwise(line):
        length = hypot(bx - ax, by - ay)
        direction = ((bx - ax) / length, (by - ay) / length)
        if distance <= length or (bx, by) == line[-1]:
            return (ax + direction[0] * distance, ay + direction[1] * distance), direction
        distance -= length
    raise ValueError("a line needs two points")


def tube(line: Line, widths: tuple[float, ...]) -> list[Point]:
    """The outline of a limb: half widths at its joints."""
    total = sum(hypot(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(line))
    left, right = [], []
    for step in range(9):
        share = step / 8
        (x, y), (dx, dy) = along(line, share * total)
        at = share * (len(widths) - 1)
        low = min(int(at), len(widths) - 2)
        half = widths[low] + (widths[low + 1] - widths[low]) * (at - low)
        left.append((x - dy * half, y + dx * half))
        right.append((x + dy * half, y - dx * half))
    return left + right[::-1]


def arm_parts(body: BodyShape, side: int, sleeved: bool = False) -> list[Part]:
    """One arm with its hand, from the shoulder, or from below a sleeve's cap."""
    line, w = list(body.arms[side]), body.limb
    if sleeved:
        line[0], _ = along(line, 0.04)
    (hx, hy), (dx, dy) = along(line, 0.335)
    hand = tube([line[2], (hx + dx * 0.012, hy + dy * 0.012)], (w * 0.55, w * 0.8, w * 0.45))
    return [Part(tube(line, (w * 1.05, w * 0.85, w * 0.6)), "skin"),
            Part(smooth(hand, 1), "skin", tone=1.03)]  # fmt: skip


def leg_parts(body: BodyShape, side: int) -> list[Part]:
    """One bare leg."""
    w = body.limb
    return [Part(tube(body.legs[side], (w * 1.75, w * 1.2, w * 0.62)), "skin")]


def head_parts(rng: Generator) -> list[Part]:
    """The face with eyes, brows, nose and mouth."""
    wide, long = uniform(rng, 0.04, 0.047), uniform(rng, 0.122, 0.132)
    face = closed([(0, 0.018), (wide * 0.8, 0.028), (wide, 0.06), (wide * 0.92, 0.095),
                   (wide * 0.5, long), (0, long + 0.004)])  # fmt: skip
    parts = [Part(face, "skin")]
    for sign in (-1, 1):
        eye = sign * wide * 0.45
        parts.append(Part([(eye - 0.008, 0.071), (eye + 0.008, 0.071)], "eye", width=0.006))
        parts.append(Part([(eye - 0.01, 0.06), (eye + 0.01, 0.059)], "brow", width=0.004))
    parts.append(Part([(0, 0.075), (0.004, 0.088), (-0.003, 0.09)], "seam", tone=0.8, width=0.004))
    return [*parts, Part([(-0.013, 0.106), (0.013, 0.106)], "mouth", width=0.007)]


def neck_parts(body: BodyShape) -> list[Part]:
    """Neck and the chest that a neckline shows."""
    half, s = 0.024, body.shoulder
    neck = [(half, 0.1), (half, 0.155), (s * 0.62, 0.182), (s * 0.8, 0.21), (s * 0.5, 0.33),
            (0, 0.34)]  # fmt: skip
    return [Part(closed([(0, 0.1), *neck]), "skin", tone=0.94)]


def hair_parts(rng: Generator, behind: bool, style: str) -> list[Part]:
    """Hair behind or before the face; style: short, bob, long, up, bald."""
    w = 0.052
    if style == "bald":
        return []
    if behind:
        reach = {"short": 0.075, "up": 0.075, "bob": uniform(rng, 0.12, 0.16),
                 "long": uniform(rng, 0.2, 0.3)}[style]  # fmt: skip
        wide = w * (1.05 if style in ("short", "up") else uniform(rng, 1.05, 1.4))
        back = [(0, -0.004), (w * 0.8, 0.008), (w, 0.04), (wide, reach * 0.8), (wide * 0.85, reach)]
        return [Part(closed([*back, (0, reach)]), "hair", tone=0.85)]
    lean, line = uniform(rng, -0.025, 0.025), uniform(rng, 0.036, 0.052)
    cap = [(lean, line - 0.012), (0.03, line), (0.042, 0.07), (0.046, 0.07), (0.05, 0.04),
           (0.038, 0.008), (0, -0.004), (-0.038, 0.008), (-0.05, 0.04), (-0.046, 0.07),
           (-0.042, 0.07), (-0.03, line)]  # fmt: skip
    parts = [Part(smooth(cap), "hair")]
    if style == "up":
        knot = [(0.02 * cos(radians(a)) + lean, 0.018 * sin(radians(a)) - 0.012)
                for a in range(0, 360, 45)]  # fmt: skip
        parts.append(Part(knot, "hair", tone=0.92))
    if style == "long" and chance(rng, 0.6):
        for sign in (-1, 1):
            lock = [(sign * 0.038, 0.05), (sign * 0.05, 0.06), (sign * 0.056, 0.17),
                    (sign * 0.045, 0.24), (sign * 0.03, 0.18)]  # fmt: skip
            parts.append(Part(smooth(lock), "hair", tone=0.95))
    return parts
