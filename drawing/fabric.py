"""Colours and patterns of drawn cloth: RGB inks, and masks of the second colour."""

import colorsys
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Rgb = tuple[int, int, int]
Plane = NDArray[np.float32]

SHADES: dict[str, tuple[Rgb, ...]] = {
    "red": ((204, 24, 36), (222, 40, 40), (178, 18, 34)),
    "blue": ((38, 98, 214), (66, 134, 230), (94, 158, 226)),
    "navy": ((20, 28, 78), (24, 36, 92), (18, 24, 64)),
    "green": ((34, 138, 66), (70, 160, 60), (20, 110, 72)),
    "yellow": ((248, 208, 40), (252, 222, 70), (240, 196, 30)),
    "black": ((24, 24, 26), (34, 33, 35), (18, 18, 20)),
    "white": ((243, 243, 240), (248, 246, 240), (238, 241, 244)),
    "grey": ((138, 140, 144), (160, 161, 164), (114, 116, 121)),
    "brown": ((112, 68, 38), (134, 86, 52), (90, 54, 32)),
    "pink": ((246, 150, 188), (250, 172, 198), (238, 116, 168)),
    "purple": ((122, 54, 164), (146, 86, 190), (98, 40, 134)),
    "orange": ((242, 122, 28), (250, 140, 46), (230, 104, 20)),
}
# Second colours that are clearly distinct from the first and don't dominate it.
_CONTRASTS: dict[str, tuple[str, ...]] = {
    "red": ("white", "white", "black"),
    "blue": ("white", "white", "black", "yellow"),
    "navy": ("white", "white", "yellow", "red", "pink"),
    "green": ("white", "white", "black", "yellow"),
    "yellow": ("black", "white", "navy", "green"),
    "black": ("white", "white", "red", "yellow", "grey"),
    "white": ("black", "navy", "red", "blue", "green"),
    "grey": ("white", "black", "black", "navy"),
    "brown": ("white", "white", "black", "yellow"),
    "pink": ("white", "white", "black", "navy"),
    "purple": ("white", "white", "black", "yellow"),
    "orange": ("white", "white", "black", "navy"),
}


@dataclass(frozen=True)
class Weave:
    """A pattern's measures in garment units: period, filled share, direction, variant."""

    pattern: str
    period: float
    share: float
    angle: float
    variant: int


def choose_inks(colour: str, style: Generator) -> dict[str, Rgb]:
    """The RGB value of every ink of one garment; hue and shade vary within the colour's name."""
    main = _jitter(SHADES[colour][int(style.integers(3))], style)
    second = str(style.choice(_CONTRASTS[colour]))
    accent = _jitter(SHADES[second][int(style.integers(3))], style)
    inside = tuple(int(c * 0.42 + 14) for c in main)
    button = accent if sum(main) > 600 else tuple(min(255, int(c * 0.6 + 95)) for c in main)
    sole = (244, 243, 238) if sum(main) < 640 else (196, 170, 128)
    return {
        "main": main, "plain": main, "accent": accent, "inside": (inside[0], inside[1], inside[2]),
        "metal": (198, 190, 168) if style.random() < 0.5 else (212, 172, 84),
        "sole": sole, "button": (button[0], button[1], button[2]),
    }  # fmt: skip


def _jitter(rgb: Rgb, style: Generator) -> Rgb:
    hue, light, saturation = colorsys.rgb_to_hls(*(c / 255 for c in rgb))
    hue = (hue + float(style.uniform(-0.012, 0.012))) % 1.0
    light = min(0.97, max(0.06, light + float(style.uniform(-0.025, 0.025))))
    red, green, blue = colorsys.hls_to_rgb(hue, light, saturation)
    return round(red * 255), round(green * 255), round(blue * 255)


def choose_weave(pattern: str, style: Generator) -> Weave:
    """Random measures of a pattern for one garment."""
    angle = float(style.choice([0.0, 0.0, 90.0, 90.0, 45.0]) if pattern == "striped" else 0.0)
    return Weave(
        pattern=pattern,
        period=float(style.uniform(0.13, 0.3)) * (1.15 if pattern != "striped" else 1.0),
        share=float(style.uniform(0.26, 0.38)),
        angle=angle,
        variant=int(style.integers(3)),
    )


def second_colour(weave: Weave, u: Plane, v: Plane) -> Plane:
    """The coverage of the second colour at each point, 0 to 1; u, v: garment coordinates."""
    if weave.pattern == "striped":
        return _stripes(weave, u, v)
    if weave.pattern == "dotted":
        return _dots(weave, u, v)
    return _checks(weave, u, v)


def _band(x: Plane, period: float, share: float) -> Plane:
    """1 where x lies in the filled part of its period."""
    phase = x / np.float32(period)
    phase -= np.floor(phase)
    return (phase < share).astype(np.float32)


def _stripes(weave: Weave, u: Plane, v: Plane) -> Plane:
    angle = np.radians(weave.angle)
    across = np.asarray(u * float(np.sin(angle)) + v * float(np.cos(angle)), np.float32)
    if weave.variant < 2:
        return _band(across, weave.period, weave.share)
    thin = _band(across + weave.period * 0.25, weave.period, 0.13)
    return np.asarray(np.maximum(_band(across, weave.period, 0.26), thin), np.float32)


def _dots(weave: Weave, u: Plane, v: Plane) -> Plane:
    row = v / np.float32(weave.period)
    line = np.floor(row)
    column = u / np.float32(weave.period) + 0.5 * (line % 2)
    dx, dy = column - np.floor(column) - 0.5, row - line - 0.5
    radius = 0.2 + 0.4 * (weave.share - 0.28) + 0.04 * weave.variant
    return np.asarray(dx * dx + dy * dy < radius * radius, np.float32)


def _checks(weave: Weave, u: Plane, v: Plane) -> Plane:
    if weave.variant == 0:  # gingham: half tone, full where the bands cross
        across, down = (_band(x, weave.period, 0.38) for x in (u, v))
        return np.asarray(0.5 * (across + down), np.float32)
    if weave.variant == 1:  # window pane
        lines = np.maximum(_band(u, weave.period, 0.17), _band(v, weave.period, 0.17))
        return np.asarray(lines, np.float32)
    wide = np.float32(0.35) * (_band(u, weave.period, 0.4) + _band(v, weave.period, 0.4))
    offset = weave.period * 0.31
    thin = np.maximum(_band(u + offset, weave.period, 0.1), _band(v + offset, weave.period, 0.1))
    return np.asarray(np.maximum(wide, thin), np.float32)
