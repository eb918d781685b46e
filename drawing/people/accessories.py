"""Accessories of drawn people: shoes, belt, bag, scarf, hat and sunglasses."""

from dataclasses import dataclass
from math import cos, radians, sin

from numpy.random import Generator, default_rng

from drawing.outline import Part, Point, box, chance, closed, mirror, smooth, uniform
from drawing.people.body import BodyShape, along
from models.segmenter.atr import Atr


@dataclass(frozen=True)
class Accessory:
    """An accessory's pieces and class; layer: "below" or "over" the clothes, "waist" or "head"."""

    name: str
    classes: Atr
    parts: list[Part]
    layer: str


def choose_accessories(body: BodyShape, rng: Generator) -> list[Accessory]:
    """Random accessories: always shoes, sometimes a belt, bag, scarf, sunglasses or hat."""
    accessories = [Accessory("shoes", kind, _shoe(body, side, style), "below")
              for style in [int(rng.integers(1 << 30))]
              for side, kind in ((0, Atr.RIGHT_SHOE), (1, Atr.LEFT_SHOE))]  # fmt: skip
    is_present = {
        name: chance(rng, odds)
        for name, odds in (
            ("belt", 0.35),
            ("bag", 0.42),
            ("scarf", 0.3),
            ("sunglasses", 0.35),
            ("hat", 0.32),
        )
    }
    if is_present["bag"]:
        accessories.append(Accessory("bag", Atr.BAG, _bag(body, rng), "over"))
    if is_present["scarf"]:
        accessories.append(Accessory("scarf", Atr.SCARF, _scarf(rng), "over"))
    if is_present["sunglasses"]:
        accessories.append(Accessory("sunglasses", Atr.SUNGLASSES, _sunglasses(rng), "head"))
    if is_present["hat"]:
        accessories.append(Accessory("hat", Atr.HAT, _hat(rng), "head"))
    if is_present["belt"]:
        accessories.append(Accessory("belt", Atr.BELT, _belt(body, rng), "waist"))
    return accessories


def _shoe(body: BodyShape, side: int, seed: int) -> list[Part]:
    """One sneaker, boot or pump; the same seed gives both feet the same shoe."""
    rng = default_rng(seed)
    kind = str(rng.choice(["sneaker", "boot", "pump"]))
    x, y = body.legs[side][2]
    sign = 1 if side else -1
    out, w = sign * uniform(rng, 0.004, 0.022), body.limb * uniform(rng, 0.85, 1.05)
    top = {"sneaker": 0.004, "boot": -uniform(rng, 0.02, 0.16), "pump": 0.014}[kind]
    low = y + 0.042
    toe = x + out * 1.4
    foot: list[Point] = [
        (x - w * 0.8, y + top), (x + w * 0.8, y + top), (x + w * 0.9 + out, y + 0.025),
        (toe + w * 1.1, low), (x + out, low + 0.008), (toe - w * 1.1, low),
        (x - w * 0.9 + out, y + 0.025),
    ]  # fmt: skip
    if kind == "boot":
        foot[0], foot[1] = (x - w * 0.95, y + top), (x + w * 0.95, y + top)
    parts = [Part(smooth(foot, 1), "main")]
    if kind == "sneaker":
        parts.append(Part([(x - w + out * 1.4, low), (x + w + out * 1.4, low)], "accent",
                          width=0.012))  # fmt: skip
    return parts


def _belt(body: BodyShape, rng: Generator) -> list[Part]:
    thick, wide = uniform(rng, 0.009, 0.022), body.waist + 0.014
    y = body.waist_y + uniform(rng, -0.004, 0.012)
    return [Part(box(-wide, y, wide, y + thick), "main"),
            Part(box(-0.012, y - 0.002, 0.012, y + thick + 0.002), "metal")]  # fmt: skip


def _bag(body: BodyShape, rng: Generator) -> list[Part]:
    """A bag in the hand, or on a strap across the front or over a shoulder."""
    side = int(rng.integers(2))
    sign = 1 if side else -1
    w, h = uniform(rng, 0.045, 0.09), uniform(rng, 0.05, 0.12)
    if chance(rng, 0.5):
        (x, y), _ = along(body.arms[side], 0.335)
        top = y + uniform(rng, 0.02, 0.07)
        strap = [
            (x - w * 0.5, top + 0.01),
            (x - 0.012, y),
            (x + 0.012, y),
            (x + w * 0.5, top + 0.01),
        ]
        return [Part(strap, "main", tone=0.8, width=0.008), *_pouch(x, top, w, h, rng)]
    x, y = sign * (body.hip + uniform(rng, -0.02, 0.05)), uniform(rng, 0.38, 0.52)
    start = (-sign if chance(rng, 0.6) else sign) * body.shoulder * 0.62
    strap = [(start, 0.178), (x - sign * w * 0.4, y + 0.01)]
    return [Part(strap, "main", tone=0.8, width=uniform(rng, 0.006, 0.014)),
            *_pouch(x, y, w, h, rng)]  # fmt: skip


def _pouch(x: float, y: float, w: float, h: float, rng: Generator) -> list[Part]:
    slope = uniform(rng, 0.75, 1.0)
    half = [(0.0, 0.0), (w * slope, 0.0), (w * slope, 0.0), (w, h * 0.85), (w * 0.9, h), (0.0, h)]
    parts = [Part([(x + px, y + py) for px, py in closed(half)], "main")]
    if chance(rng, 0.6):
        parts.append(Part(box(x - w * 0.9, y, x + w * 0.9, y + h * 0.4), "plain", tone=1.1))
    return [*parts, Part(box(x - 0.007, y + h * 0.33, x + 0.007, y + h * 0.45), "metal")]


def _scarf(rng: Generator) -> list[Part]:
    thick, drop = uniform(rng, 0.03, 0.05), uniform(rng, 0.02, 0.26)
    side = 1 if chance(rng, 0.5) else -1
    low = 0.19 + drop
    end = [(side * 0.012, 0.16), (side * 0.05, 0.17), (side * uniform(rng, 0.03, 0.06), low),
           (side * 0.008, low)]  # fmt: skip
    loop = [(0.0, 0.128), (0.05, 0.125), (0.068, 0.15), (0.05, 0.15 + thick), (0.0, 0.165 + thick)]
    return [Part(end, "main", tone=0.9), Part(closed(loop), "main")]


def _sunglasses(rng: Generator) -> list[Part]:
    r = uniform(rng, 0.011, 0.016)
    parts = [Part([(-0.042, 0.066), (0.042, 0.066)], "main", width=0.005)]
    for sign in (-1, 1):
        lens = [(sign * 0.021 + r * 1.15 * cos(radians(a)), 0.072 + r * 0.95 * sin(radians(a)))
                for a in range(0, 360, 45)]  # fmt: skip
        parts.append(Part(lens, "main"))
    return parts


def _hat(rng: Generator) -> list[Part]:
    kind = str(rng.choice(["beanie", "brim", "cap"]))
    brow = uniform(rng, 0.04, 0.052)
    if kind == "beanie":
        dome = [(0.0, -0.025), (0.032, -0.02), (0.05, 0.01), (0.053, brow), (0.0, brow + 0.002)]
        return [Part(closed(dome), "main"), Part(box(-0.054, brow - 0.018, 0.054, brow), "accent")]
    crown = [(0.0, -0.035), (0.035, -0.03), (0.044, 0.0), (0.05, brow), (0.0, brow + 0.004)]
    parts = [Part(closed(crown), "main")]
    if kind == "cap":
        peak = [
            (-0.045, brow - 0.006),
            (0.045, brow - 0.006),
            (0.05, brow + 0.012),
            (0.0, brow + 0.02),
        ]
        return [*parts, Part(smooth([*peak, (-0.05, brow + 0.012)]), "accent")]
    wide = uniform(rng, 0.07, 0.11)
    rim: list[Point] = [
        (0.05, brow - 0.014),
        (wide, brow - 0.004),
        (wide, brow + 0.006),
        (0.04, brow + 0.01),
    ]
    parts.append(Part(smooth(rim + mirror(rim)[::-1]), "main", tone=0.9))
    return [*parts, Part(box(-0.049, brow - 0.022, 0.049, brow - 0.008), "accent")]
