"""Outlines of upper-body garments and dresses, one builder a category."""

from dataclasses import dataclass, replace
from math import cos, radians, sin

from numpy.random import Generator

from drawing.garments.bottoms import pleats
from drawing.outline import (
    Part,
    Point,
    both,
    box,
    chance,
    closed,
    disc,
    mirror,
    seam,
    smooth,
    uniform,
)


@dataclass(frozen=True)
class _Top:
    """The measures that every upper-body garment shares."""

    neck: float
    depth: float
    shoulder: float
    chest: float
    waist: float
    hip: float
    hem: float
    top: float = -0.8
    drop: float = 0.1
    armhole: float = 0.4


def _sleeves(top: _Top, length: float, angle: float, wide: float, cuff: str) -> list[Part]:
    """Both sleeves: `length` along the arm, `angle` degrees below the horizontal."""
    along = (cos(radians(angle)), sin(radians(angle)))
    across = (-along[1], along[0])
    sx, sy = top.shoulder, top.top + top.drop
    ex, ey = sx + length * along[0], sy + length * along[1]
    ax, ay = top.chest - 0.03, sy + top.armhole
    inner = (ex + wide * across[0], ey + wide * across[1])
    arm = [(sx - 0.06, sy), (sx, sy), (ex, ey), (ex, ey), inner, inner, (ax, ay + 0.05), (ax, ay)]
    parts = both(Part(smooth(arm), "main", angle - 90.0, 0.93, sleeve=True))
    back = 0.07 if cuff != "seam" else 0.05
    hx, hy = ex - back * along[0], ey - back * along[1]
    if cuff == "seam":
        line = seam((hx, hy), (inner[0] - back * along[0], inner[1] - back * along[1]))
        return parts + both(replace(line, sleeve=True))
    band = [(hx, hy), (ex, ey), inner, (inner[0] - back * along[0], inner[1] - back * along[1])]
    return parts + both(Part(band, cuff, tone=0.9, sleeve=True))


def _torso(top: _Top, curve: float = 0.03) -> list[Part]:
    """The back's inside at the neck, then the front with its neckline cut out."""
    t, shoulder_y = top.top, top.top + top.drop
    back = closed([(0, t + 0.02), (top.neck, t - 0.02), (top.neck, t + 0.1), (0, t + top.depth)])
    front: list[Point] = [
        (0, t + top.depth), (top.neck * 0.75, t + top.depth * 0.75), (top.neck, t), (top.neck, t),
        (top.shoulder, shoulder_y), (top.shoulder, shoulder_y),
        (top.chest, shoulder_y + top.armhole), (top.chest, shoulder_y + top.armhole),
        (top.waist, (shoulder_y + top.hem) / 2 + 0.15), (top.hip, top.hem), (top.hip, top.hem),
        (top.hip * 0.5, top.hem + curve), (0, top.hem + curve),
    ]  # fmt: skip
    return [Part(back, "inside"), Part(closed(front))]


def _neckband(top: _Top, ink: str, width: float = 0.05) -> Part:
    t, d, n = top.top, top.depth, top.neck
    line = [(n, t), (n * 0.86, t + d * 0.55), (n * 0.45, t + d * 0.9), (0, t + d)]
    return Part(line + mirror(line)[-2::-1], ink, tone=0.85, width=width)


def t_shirt(style: Generator) -> list[Part]:
    """Short sleeves, round or V neck; perhaps a contrasting trim or a pocket."""
    fit = uniform(style, 0.46, 0.6)
    vee = chance(style, 0.3)
    top = _Top(
        neck=uniform(style, 0.17, 0.25), depth=uniform(style, 0.26, 0.36) if vee
        else uniform(style, 0.12, 0.24),
        shoulder=fit + 0.03, chest=fit, waist=fit - uniform(style, 0.0, 0.06),
        hip=fit + uniform(style, -0.02, 0.05), hem=uniform(style, 0.45, 0.85),
    )  # fmt: skip
    trim = "accent" if chance(style, 0.35) else "plain"
    cuff = "accent" if trim == "accent" and chance(style, 0.7) else "seam"
    parts = _sleeves(
        top, uniform(style, 0.3, 0.48), uniform(style, 28, 52), uniform(style, 0.26, 0.34), cuff
    )
    parts += [*_torso(top), _neckband(top, trim)]
    parts.append(seam((-top.hip, top.hem - 0.05), (top.hip, top.hem - 0.05)))
    if chance(style, 0.3):
        x, y, w = uniform(style, 0.12, 0.2), uniform(style, -0.4, -0.3), uniform(style, 0.16, 0.22)
        parts += [Part(box(x, y, x + w, y + w * 1.15), trim, tone=0.97)]
        parts += [seam((x, y + 0.05), (x + w, y + 0.05))]
    return parts


def shirt(style: Generator) -> list[Part]:
    """Collar, button placket, long or short sleeves, up to two pockets."""
    fit = uniform(style, 0.46, 0.58)
    top = _Top(
        neck=uniform(style, 0.17, 0.21), depth=uniform(style, 0.16, 0.26),
        shoulder=fit + 0.02, chest=fit,
        waist=fit - uniform(style, 0.0, 0.05), hip=fit + 0.02, hem=uniform(style, 0.65, 0.9),
    )  # fmt: skip
    trim = "accent" if chance(style, 0.25) else "plain"
    long = chance(style, 0.65)
    length, angle = (
        (uniform(style, 1.0, 1.25), uniform(style, 66, 76))
        if long
        else (0.45, uniform(style, 35, 52))
    )
    parts = _sleeves(top, length, angle, 0.2 if long else 0.3, trim if long else "seam")
    parts += _torso(top, uniform(style, -0.02, 0.1))
    parts += _placket(top, uniform(style, 0.035, 0.055), trim, int(style.integers(5, 8)))
    spread, drop = uniform(style, 0.0, 0.08), uniform(style, 0.16, 0.28)
    t, n, d = top.top, top.neck, top.depth
    wing = [(n - 0.04, t - 0.07), (n + 0.05, t + 0.02), (n * 0.6 + spread, t + drop + 0.03),
            (0.01, t + d * 0.95)]  # fmt: skip
    for pocket in both(Part(box(0.16, -0.32, 0.36, -0.08), "plain", tone=0.95)):
        if chance(style, 0.4):
            parts.append(pocket)
    return parts + both(Part(wing, trim, tone=1.04))


def _placket(top: _Top, width: float, ink: str, buttons: int) -> list[Part]:
    start, end = top.top + top.depth, top.hem
    parts = [Part(box(-width, start, width, end + 0.02), ink, tone=1.02)]
    step = (end - start) / buttons
    dots = [disc(0, start + step * (i + 0.5), 0.022, "button") for i in range(buttons)]
    return parts + dots


def jacket(style: Generator) -> list[Part]:
    """Worn open over its lining: lapels, a bomber's bands or a hood."""
    fit, open_ = uniform(style, 0.5, 0.6), uniform(style, 0.08, 0.2)
    top = _Top(
        neck=0.22, depth=0.3, shoulder=fit + 0.03, chest=fit, waist=fit - uniform(style, 0.0, 0.07),
        hip=fit + uniform(style, -0.03, 0.05), hem=uniform(style, 0.5, 0.95), armhole=0.46,
    )  # fmt: skip
    trim = "accent" if chance(style, 0.4) else "plain"
    kind = str(style.choice(["lapel", "bomber", "hood"]))
    parts = _hood(top) if kind == "hood" else []
    cuff = trim if kind == "bomber" else "seam"
    parts += _sleeves(top, uniform(style, 1.05, 1.25), uniform(style, 62, 74), 0.26, cuff)
    parts += _torso(top)
    t, hem = top.top, top.hem + 0.04
    parts.append(Part([(-0.2, t), (0.2, t), (open_, hem), (-open_, hem)], "inside"))
    edge = [(0.2, t), (open_, hem)]
    if kind == "lapel":
        reach = uniform(style, -0.3, -0.05)
        lapel = [(0.2, t - 0.05), (0.3, t + 0.02), (0.38, t + 0.28), (open_ * 0.9, reach), (0.1, t)]
        parts += both(Part(lapel, trim, tone=1.08))
        parts += [disc(open_ + 0.07, y, 0.03, "button") for y in (reach + 0.15, reach + 0.4)]
    else:
        parts += both(Part(edge, "metal", width=0.035))
        collar = [(0.14, t - 0.08), (0.26, t - 0.02), (0.22, t + 0.12), (0.15, t + 0.1)]
        parts += both(Part(collar, trim, tone=0.95))
        if kind == "bomber":
            band = box(open_, hem - 0.13, top.hip + 0.02, hem - 0.02)
            parts += both(Part(band, trim, tone=0.88))
    x, y, lean = open_ + 0.1, uniform(style, 0.1, 0.3), uniform(style, -0.05, 0.16)
    return parts + both(seam((x, y + lean), (x + 0.22, y), width=0.03, tone=0.55))


def _hood(top: _Top) -> list[Part]:
    t = top.top
    outer = closed([(0, t - 0.2), (0.26, t - 0.18), (0.36, t + 0.08), (0.2, t + 0.2), (0, t + 0.2)])
    inner = closed([(0, t - 0.12), (0.17, t - 0.1), (0.2, t + 0.08), (0, t + 0.2)])
    return [Part(outer, "main", tone=0.9), Part(inner, "inside")]


def dress(style: Generator) -> list[Part]:
    """Bodice and flared skirt; straps, no, short or long sleeves; perhaps a belt."""
    chest, hem = uniform(style, 0.3, 0.38), uniform(style, 0.55, 1.0)
    waist, flare = chest - uniform(style, 0.03, 0.1), uniform(style, 0.12, 0.5)
    sleeve = str(style.choice(["strap", "none", "short", "long"]))
    neck = chest - 0.11 if sleeve == "strap" else uniform(style, 0.13, 0.2)
    top = _Top(
        neck, uniform(style, 0.12, 0.34), chest - 0.02, chest, waist, 0, 0, top=-0.95, drop=0.06
    )
    wx, wy, t = waist, uniform(style, -0.25, -0.02), top.top
    parts: list[Part] = []
    if sleeve == "short":
        parts += _sleeves(top, uniform(style, 0.22, 0.34), uniform(style, 35, 60), 0.24, "seam")
    if sleeve == "long":
        parts += _sleeves(top, uniform(style, 0.75, 1.0), uniform(style, 58, 72), 0.18, "plain")
    cut = [(0.0, t + top.depth), (neck * 0.75, t + top.depth * 0.8), (neck, t), (neck, t)]
    side = [(top.shoulder, t + 0.06), (top.shoulder, t + 0.06), (chest, t + 0.42), (wx, wy)]
    skirt = [(wx, wy), ((wx + chest + flare) / 2 + 0.03, (wy + hem) / 2), (chest + flare, hem),
             (chest + flare, hem), (chest * 0.6, hem + 0.05), (0, hem + 0.06)]  # fmt: skip
    back = closed([(0, t + 0.04), (neck, t - 0.01), (neck, t + 0.1), (0, t + top.depth)])
    parts += [Part(back, "inside"), Part(closed(cut + side + skirt))]
    if sleeve != "strap":
        parts.append(_neckband(top, "plain", 0.03))
    if chance(style, 0.5):
        parts.append(Part(box(-wx, wy - 0.04, wx, wy + 0.04), "accent"))
    else:
        parts.append(seam((-wx, wy), (wx, wy), width=0.02))
    return parts + pleats(style, wx, wy, chest + flare, hem)
