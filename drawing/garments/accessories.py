"""Outlines of shoes and bags, one builder a category."""

from numpy.random import Generator

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


def shoes(style: Generator) -> list[Part]:
    """A pair in side view, the second one behind the first."""
    kind = str(style.choice(["sneaker", "boot", "heel", "loafer"]))
    one = {"sneaker": _sneaker, "boot": _boot, "heel": _heel, "loafer": _loafer}[kind](style)
    back, front = {"boot": (-0.3, 0.34), "heel": (-0.16, 0.16)}.get(kind, (-0.06, 0.04))
    return _place(one, back, -0.44, 0.95) + _place(one, front, 0.36, 1.0)


def _place(parts: list[Part], dx: float, dy: float, scale: float) -> list[Part]:
    return [
        Part([(x * scale + dx, y * scale * 1.3 + dy) for x, y in p.points], p.ink, p.turn,
             p.tone * (0.9 + 0.1 * (scale >= 1.0)), p.width * scale)
        for p in parts
    ]  # fmt: skip


def _sneaker(style: Generator) -> list[Part]:
    thick, high = uniform(style, 0.07, 0.14), uniform(style, 0.3, 0.5)
    sole_ink = "sole" if chance(style, 0.7) else "accent"
    upper = smooth([
        (-0.78, 0.22), (-0.8, -0.02), (-0.74, 0.16 - high), (-0.66, 0.17 - high),
        (-0.34, 0.2 - high), (-0.3, 0.18 - high), (0.1, -0.02), (0.5, 0.06), (0.82, 0.16),
        (0.84, 0.24), (0.84, 0.24), (-0.78, 0.24), (-0.78, 0.24),
    ])  # fmt: skip
    toe = smooth([(0.52, 0.06), (0.82, 0.16), (0.84, 0.24), (0.84, 0.24), (0.46, 0.24)])
    heel = smooth([(-0.8, 0.0), (-0.62, 0.0), (-0.6, 0.24), (-0.6, 0.24), (-0.79, 0.24)])
    cap = "accent" if chance(style, 0.5) else "plain"
    parts = [Part(upper), Part(heel, cap, tone=0.92)]
    if chance(style, 0.5):
        parts.append(Part(toe, cap, tone=1.05))
    low = 0.22 + thick
    sole = smooth([(-0.82, 0.2), (0.88, 0.2), (0.88, low), (-0.82, low)])
    parts.append(Part(sole, sole_ink))
    for i in range(4):
        x, y = -0.24 + 0.11 * i, 0.2 - high + 0.09 * i
        parts.append(Part([(x, y), (x - 0.07, y + 0.11)], "sole", width=0.035))
    if chance(style, 0.6):
        swoosh: list[Point] = [(-0.4, 0.14), (-0.15, 0.1), (0.2, 0.0)]
        parts.append(Part(swoosh, "accent", width=0.05))
    return parts


def _boot(style: Generator) -> list[Part]:
    top, heel = uniform(style, -0.72, -0.42), uniform(style, 0.06, 0.16)
    leg = uniform(style, 0.1, 0.24)
    upper = smooth([
        (-0.6, 0.24), (-0.62, 0.0), (-0.58, top), (-0.58, top), (-0.1 + leg * 0.3, top),
        (-0.1 + leg * 0.3, top), (-0.1, -0.08), (0.35, 0.0), (0.7, 0.14), (0.72, 0.24),
        (0.72, 0.24), (-0.6, 0.24),
    ])  # fmt: skip
    parts = [Part(upper), Part([(-0.6, top + 0.06), (-0.08 + leg * 0.3, top + 0.06)], "accent",
                               width=0.06)]  # fmt: skip
    parts.append(Part(box(-0.62, 0.22, 0.73, 0.28), "inside"))
    parts.append(Part(box(-0.62, 0.24, -0.34, 0.26 + heel), "inside"))
    if chance(style, 0.5):
        parts += [Part([(-0.16, y), (0.02, y + 0.05)], "sole", width=0.03)
                  for y in (-0.3, -0.2, -0.1)]  # fmt: skip
    else:
        parts.append(seam((-0.36, top + 0.1), (-0.34, 0.2), width=0.025, tone=0.6))
    return parts


def _heel(style: Generator) -> list[Part]:
    lift, thin = uniform(style, 0.25, 0.48), uniform(style, 0.05, 0.14)
    y = 0.3 - lift
    upper = smooth([
        (-0.66, y), (-0.68, y - 0.2), (-0.6, y - 0.24), (-0.3, y + 0.02), (0.1, 0.2),
        (0.35, 0.1), (0.66, 0.2), (0.8, 0.3), (0.8, 0.3), (0.3, 0.3), (-0.1, 0.24),
        (-0.35, y + 0.12),
    ])  # fmt: skip
    stiletto = [(-0.67, y - 0.04), (-0.42, y + 0.06), (-0.6 + thin, 0.34), (-0.62, 0.34)]
    parts = [Part(stiletto, "plain", tone=0.7), Part(upper)]
    if chance(style, 0.5):
        parts.append(Part([(-0.64, y - 0.2), (-0.3, y - 0.26), (-0.24, y + 0.04)], "accent",
                          width=0.05))  # fmt: skip
    if chance(style, 0.4):
        parts.append(disc(0.42, 0.15, 0.07, "accent"))
    return parts


def _loafer(style: Generator) -> list[Part]:
    high = uniform(style, 0.16, 0.28)
    upper = smooth([
        (-0.72, 0.24), (-0.74, 0.24 - high), (-0.66, 0.2 - high), (-0.2, 0.14), (0.0, 0.0),
        (0.3, -0.02), (0.66, 0.08), (0.8, 0.2), (0.8, 0.26), (-0.72, 0.26),
    ])  # fmt: skip
    hole = smooth([(-0.66, 0.22 - high), (-0.3, 0.08), (0.02, 0.0), (-0.2, 0.14), (-0.5, 0.17)])
    parts = [Part(upper), Part(hole, "inside")]
    parts.append(Part(box(-0.74, 0.24, 0.8, 0.24 + uniform(style, 0.05, 0.1)), "inside"))
    parts.append(Part([(0.02, 0.05), (0.2, 0.2)], "accent", width=uniform(style, 0.05, 0.12)))
    return [*parts, seam((0.22, 0.06), (0.6, 0.12), width=0.02)]


def bag(style: Generator) -> list[Part]:
    """A tote, a flap bag with a strap, a rounded handbag or a backpack."""
    kinds = {"tote": _tote, "flap": _flap, "round": _handbag, "backpack": _backpack}
    return kinds[str(style.choice(list(kinds)))](style)


def _arch(half: float, base: float, peak: float, ink: str, width: float) -> Part:
    right = [(half * 0.5, peak + 0.03), (half * 0.85, (base + peak) / 2), (half, base)]
    return Part([*mirror(right)[::-1], (0.0, peak), *right], ink, tone=0.85, width=width)


def _tote(style: Generator) -> list[Part]:
    top, low, y = uniform(style, 0.5, 0.7), uniform(style, 0.42, 0.7), uniform(style, -0.3, -0.1)
    trim = "accent" if chance(style, 0.5) else "plain"
    width, peak = uniform(style, 0.05, 0.09), uniform(style, -0.92, -0.65)
    body = closed([(0, y), (top, y), (top, y), (low, 0.78), (low, 0.8), (0, 0.82)])
    parts = [_arch(0.3, y + 0.02, peak + 0.08, trim, width), Part(body)]
    parts.append(_arch(0.34, y + 0.16, peak, trim, width))
    if chance(style, 0.5):
        parts.append(Part(box(-top * 0.99, y, top * 0.99, y + 0.1), trim, tone=0.92))
    if chance(style, 0.5):
        parts.append(Part(box(-0.25, 0.2, 0.25, 0.6), trim, tone=0.95))
    return parts


def _flap(style: Generator) -> list[Part]:
    w, y, low = uniform(style, 0.55, 0.8), uniform(style, -0.25, 0.0), uniform(style, 0.5, 0.72)
    trim = "accent" if chance(style, 0.5) else "plain"
    strap = "metal" if chance(style, 0.35) else trim
    body = closed([(0, y), (w, y), (w, y), (w, low), (w * 0.9, low + 0.06), (0, low + 0.06)])
    depth = uniform(style, 0.3, 0.5)
    flap = closed([(0, y - 0.03), (w, y - 0.03), (w, y + depth * 0.6), (w * 0.5, y + depth),
                   (0, y + depth)])  # fmt: skip
    parts = [_arch(w * 0.92, y + 0.03, uniform(style, -0.95, -0.6), strap, 0.05), Part(body)]
    parts += [Part(flap, "plain" if chance(style, 0.4) else "main", tone=1.06)]
    clasp = box(-0.07, y + depth - 0.07, 0.07, y + depth + 0.06)
    return [*parts, Part(clasp, "metal")]


def _handbag(style: Generator) -> list[Part]:
    w, y = uniform(style, 0.55, 0.75), uniform(style, -0.3, -0.1)
    trim = "accent" if chance(style, 0.5) else "plain"
    shoulder, corner = (w * 0.75, y + 0.1), (w * 0.8, 0.75)
    body = closed([(0, y), (w * 0.6, y), shoulder, (w, 0.55), corner, (0, 0.76)])
    parts = [_arch(w * 0.5, y + 0.1, uniform(style, -0.85, -0.6), trim, 0.075), Part(body)]
    parts.append(Part([(-w * 0.55, y + 0.07), (w * 0.55, y + 0.07)], "metal", width=0.035))
    parts += both(seam((w * 0.55, y + 0.1), (w * 0.7, 0.72), width=0.025))
    base = closed([(0, 0.55), (w * 0.97, 0.55), (w * 0.8, 0.75), (0, 0.76)])
    if chance(style, 0.5):
        parts.append(Part(base, trim, tone=0.9))
    return [*parts, disc(w * 0.4, y + 0.16, 0.045, "metal")]


def _backpack(style: Generator) -> list[Part]:
    w, y = uniform(style, 0.45, 0.58), uniform(style, -0.75, -0.6)
    trim = "accent" if chance(style, 0.6) else "plain"
    corner = (w * 0.85, 0.84)
    body = closed([(0, y), (w * 0.8, y), (w, y + 0.3), (w + 0.03, 0.7), corner, (0, 0.84)])
    parts = both(Part([(w * 0.7, y + 0.1), (w + 0.16, 0.0), (w, 0.7)], trim, tone=0.8, width=0.1))
    parts += [_arch(0.14, y + 0.04, y - 0.14, trim, 0.05), Part(body)]
    top = uniform(style, 0.1, 0.25)
    pocket = closed([(0, top), (w * 0.72, top), (w * 0.75, 0.7), (0, 0.72)])
    parts += [
        Part(pocket, "plain" if chance(style, 0.5) else trim, tone=0.96),
        seam((-w * 0.6, top + 0.08), (w * 0.6, top + 0.08)),
    ]
    arc = [(-w * 0.9, y + 0.45), (-w * 0.5, y + 0.22), (w * 0.5, y + 0.22), (w * 0.9, y + 0.45)]
    return [*parts, Part(arc, "metal", width=0.02)]
