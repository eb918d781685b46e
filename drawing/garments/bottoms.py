"""Outlines of skirts, trousers and shorts, one builder a category."""

from numpy.random import Generator

from drawing.outline import Part, Point, both, box, chance, closed, disc, seam, uniform


def pleats(style: Generator, waist: float, y0: float, hem: float, y1: float) -> list[Part]:
    """Folds from half the waist's width at y0 to half the hem's at y1: none, two, four or seven."""
    count = int(style.choice([0, 2, 4, 7]))
    at = [(2 * i + 1) / count - 1 for i in range(count)]
    return [seam((a * waist, y0 + 0.05), (a * hem, y1), width=0.022, tone=0.84) for a in at]


def skirt(style: Generator) -> list[Part]:
    """Short to long, narrow to flared; pleats, buttons or a hem band."""
    waist, hem, y0 = uniform(style, 0.34, 0.46), uniform(style, 0.2, 0.8), -0.62
    wide = waist + uniform(style, 0.05, 0.5)
    curve = uniform(style, 0.02, 0.12)
    half: list[Point] = [
        (0, y0), (waist, y0), (waist, y0), (waist + 0.08, y0 + 0.3), (wide, hem), (wide, hem),
        (wide * 0.5, hem + curve), (0, hem + curve),
    ]  # fmt: skip
    parts = [Part(closed(half)), *pleats(style, waist, y0, wide, hem)]
    if chance(style, 0.35):
        parts.append(Part([(-wide, hem - 0.05), (0, hem - 0.05 + curve), (wide, hem - 0.05)],
                          "accent", width=0.07))  # fmt: skip
    band = "accent" if chance(style, 0.3) else "plain"
    parts.append(
        Part(box(-waist, y0 - 0.03, waist, y0 + uniform(style, 0.06, 0.12)), band, tone=0.9)
    )
    if chance(style, 0.4):
        parts += [disc(0.0, y0 + 0.2 + 0.18 * i, 0.03, "button") for i in range(3)]
    return parts


def _legs(style: Generator, hem: float, ankle: float, lean: float, rise: float) -> list[Part]:
    """Waistband and two legs; ankle: a leg's width at the hem, lean: its offset from the waist."""
    waist, y0 = uniform(style, 0.34, 0.44), -0.92
    out = waist + lean
    crotch = y0 + rise
    leg: list[Point] = [
        (0, y0), (waist, y0), (waist, y0), (waist + 0.08, y0 + 0.35), (out, hem), (out, hem),
        (out - ankle, hem + 0.01), (out - ankle, hem + 0.01), (0.04, crotch), (0, crotch),
    ]  # fmt: skip
    parts = [Part(closed(leg)), seam((0, y0), (0, crotch), width=0.018)]
    cuff, turn_up = chance(style, 0.35), "accent" if chance(style, 0.4) else "plain"
    low = [(out, hem - 0.09), (out, hem), (out - ankle, hem + 0.01), (out - ankle, hem - 0.08)]
    parts += both(Part(low, turn_up, tone=0.88)) if cuff else both(seam(low[0], low[3]))
    if chance(style, 0.6):
        parts += both(seam((waist * 0.55, y0 + 0.08), (waist + 0.02, y0 + 0.3), width=0.022))
    if chance(style, 0.3):
        stripe = [(waist + 0.0, y0 + 0.1), (waist + 0.03, y0 + 0.35), (out - 0.06, hem)]
        parts += both(Part(stripe, "accent", width=0.05))
    band = "accent" if chance(style, 0.3) else "plain"
    parts.append(Part(box(-waist, y0 - 0.03, waist, y0 + 0.08), band, tone=0.9))
    if chance(style, 0.5):
        cord = [(-0.06, y0 + 0.22), (-0.02, y0 + 0.03), (0.02, y0 + 0.03), (0.07, y0 + 0.2)]
        return [*parts, Part(cord, "sole", width=0.022)]
    return [*parts, disc(0, y0 + 0.03, 0.028, "metal")]


def trousers(style: Generator) -> list[Part]:
    """Tapered to wide legs of full length."""
    ankle, hem = uniform(style, 0.17, 0.36), uniform(style, 0.7, 0.98)
    return _legs(style, hem, ankle, uniform(style, 0.0, 0.14), uniform(style, 0.5, 0.62))


def shorts(style: Generator) -> list[Part]:
    """Wide legs that end above the knee."""
    lean, hem = uniform(style, 0.12, 0.26), uniform(style, -0.22, 0.12)
    return _legs(style, hem, uniform(style, 0.36, 0.46), lean, uniform(style, 0.46, 0.52))
