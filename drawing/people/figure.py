"""A drawn person as layers from back to front, and their pixel planes."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from drawing.cloth_coordinates import ToGarment, scaled
from drawing.draw import (
    BUILDERS,
    CATEGORIES,
    COLOURS,
    NEUTRAL,
    OVERSAMPLE,
    PATTERNS,
    Garment,
    Placement,
    paint_part,
)
from drawing.fabric import Plane, Rgb, Weave, choose_inks, choose_weave, second_colour
from drawing.outline import Part
from drawing.people.accessories import Accessory
from drawing.people.body import (
    BodyShape,
    arm_parts,
    hair_parts,
    head_parts,
    leg_parts,
    neck_parts,
)
from drawing.people.dressing import wear
from models.segmenter.atr import Atr

_PLAIN = Weave("plain", 1.0, 0.5, 0.0, 0)
_AS_DRAWN = scaled(1.0)
_CLASSES: dict[str, Atr] = {
    "t-shirt": Atr.UPPER_CLOTHES, "shirt": Atr.UPPER_CLOTHES, "jacket": Atr.UPPER_CLOTHES,
    "dress": Atr.DRESS, "skirt": Atr.SKIRT, "trousers": Atr.PANTS, "shorts": Atr.PANTS,
}  # fmt: skip
_SKINS: tuple[Rgb, ...] = ((241, 208, 182), (224, 182, 150), (198, 146, 110), (160, 110, 78),
                           (118, 78, 54), (84, 56, 42), (232, 190, 160))  # fmt: skip
_HAIRS: tuple[Rgb, ...] = ((28, 22, 20), (60, 40, 28), (98, 66, 40), (150, 110, 62),
                           (196, 164, 106), (120, 50, 30), (150, 148, 146))  # fmt: skip


@dataclass(frozen=True)
class FigureLayer:
    """Pieces of one class and one cloth.

    to_garment: from body to pattern coordinates; garment: the garment of the pieces, None for
    pieces of the body and of accessories.
    """

    parts: list[Part]
    atr: Atr
    inks: dict[str, Rgb]
    weave: Weave = _PLAIN
    to_garment: ToGarment = _AS_DRAWN
    garment: Garment | None = None


def choose_placement(height: int, width: int, rng: Generator, full_figure: bool) -> Placement:
    """A random placement: mostly the whole figure, sometimes cut at the knees or hips."""
    tall = height * OVERSAMPLE
    unit = float(rng.uniform(0.78, 0.95)) * tall
    if not full_figure and rng.random() < 0.25:
        unit *= float(rng.uniform(1.2, 1.8))
    unit = min(unit, 1.9 * width * OVERSAMPLE)
    room = max(0.0, tall - unit)
    top = float(rng.uniform(0.25, 0.75)) * room + 0.045 * unit * (room < 0.06 * unit)
    x = width * OVERSAMPLE * float(rng.uniform(0.42, 0.58))
    return Placement(x, top, unit, float(np.clip(rng.normal(0, 1.5), -4, 4)))


def build_layers(
    body: BodyShape, accessories: list[Accessory], outfit: list[Garment], rng: Generator
) -> list[FigureLayer]:
    """All layers, from back to front."""
    skin, hair = _body_inks(rng)
    style = str(rng.choice(["short", "bob", "long", "up", "bald"], p=[0.3, 0.2, 0.3, 0.15, 0.05]))
    tucked = rng.random() < 0.35
    dyes = {accessory.name: _dye_accessory(accessory, rng) for accessory in accessories}
    fittings = {
        id(e): FigureLayer(e.parts, e.classes, *dyes[e.name], scaled(0.14)) for e in accessories
    }
    at = {layer: [fittings[id(e)] for e in accessories if e.layer == layer]
          for layer in ("below", "over", "head", "waist")}  # fmt: skip
    bare = [FigureLayer(leg_parts(body, side), kind, skin)
            for side, kind in ((0, Atr.RIGHT_LEG), (1, Atr.LEFT_LEG))]  # fmt: skip
    sleeves: list[list[FigureLayer]] = [[], []]
    clothes = []
    for garment in outfit:
        own = default_rng([garment.style_seed, CATEGORIES.index(garment.category)])
        inks, weave = choose_inks(garment.colour, own), choose_weave(garment.pattern, own)
        worn = wear(garment.category, BUILDERS[garment.category](own), body)
        kind = _CLASSES[garment.category]
        clothes.append(FigureLayer(worn.pieces, kind, inks, weave, worn.to_garment, garment))
        for side in (0, 1):
            to_garment = worn.sleeves_to_garment[side]
            sleeves[side].append(
                FigureLayer(worn.sleeves[side], kind, inks, weave, to_garment, garment)
            )
    arms = []
    for side, kind in ((0, Atr.RIGHT_ARM), (1, Atr.LEFT_ARM)):
        is_sleeved = any(layer.parts for layer in sleeves[side])
        arms.append(FigureLayer(arm_parts(body, side, is_sleeved), kind, skin))
    if len(clothes) == 2 and tucked and outfit[1].category != "jacket":
        clothes.reverse()
        waist = at["waist"]
    else:
        waist = at["waist"] if len(clothes) == 1 or outfit[1].category != "jacket" else []
    behind = [side for side in (0, 1) if not body.in_front[side]]
    before = [side for side in (0, 1) if body.in_front[side]]
    layers = [FigureLayer(hair_parts(rng, True, style), Atr.HAIR, hair)]
    layers += [*bare, *at["below"], FigureLayer(neck_parts(body), Atr.FACE, skin)]
    layers += [layer for side in behind for layer in (arms[side], *sleeves[side])]
    layers += [*clothes, *waist]
    layers += [layer for side in before for layer in (arms[side], *sleeves[side])]
    layers += [FigureLayer(head_parts(rng), Atr.FACE, skin), *at["over"]]
    return [*layers, FigureLayer(hair_parts(rng, False, style), Atr.HAIR, hair), *at["head"]]


def _body_inks(rng: Generator) -> tuple[dict[str, Rgb], dict[str, Rgb]]:
    skin = _shift(_SKINS[int(rng.integers(len(_SKINS)))], rng, 10)
    hair = _shift(_HAIRS[int(rng.integers(len(_HAIRS)))], rng, 10)
    mouth = (min(255, skin[0]), int(skin[1] * 0.62), int(skin[2] * 0.62))
    return {"skin": skin, "eye": (38, 30, 28), "brow": hair, "mouth": mouth}, {"hair": hair}


def _dye_accessory(accessory: Accessory, rng: Generator) -> tuple[dict[str, Rgb], Weave]:
    colours = ("black", "black", "grey", "brown") if accessory.name == "sunglasses" else COLOURS
    inks = choose_inks(str(rng.choice(colours)), rng)
    patterned = accessory.name == "scarf" and rng.random() < 0.5
    return inks, choose_weave(str(rng.choice(PATTERNS)) if patterned else "plain", rng)


def _shift(rgb: Rgb, rng: Generator, spread: int) -> Rgb:
    moved = [min(255, max(0, c + int(rng.integers(-spread, spread + 1)))) for c in rgb]
    return moved[0], moved[1], moved[2]


def pieces_of(layers: list[FigureLayer]) -> list[tuple[Part, FigureLayer]]:
    """Every piece with its layer, in painting order; pieces are numbered from 1."""
    return [(part, layer) for layer in layers for part in layer.parts]


def paint(
    layers: list[FigureLayer], placement: Placement, height: int, width: int
) -> tuple[NDArray[np.uint8], Image.Image, Image.Image]:
    """Oversampled planes: piece numbers, colour (RGBA, premultiplied) and brightness (L)."""
    number_of, shade = number_pieces(layers, placement, height, width)
    pieces = pieces_of(layers)
    table = np.zeros((256, 4), np.uint8)
    table[1 : len(pieces) + 1] = [
        (*layer.inks.get(part.ink, (0, 0, 0)), 255) for part, layer in pieces
    ]
    cloth = table[number_of]
    _weave_in(cloth, number_of, layers, placement)
    return number_of, Image.fromarray(cloth), shade


def number_pieces(
    layers: list[FigureLayer], placement: Placement, height: int, width: int
) -> tuple[NDArray[np.uint8], Image.Image]:
    """Oversampled planes: piece numbers (0 for none) and brightness (L)."""
    size = (width * OVERSAMPLE, height * OVERSAMPLE)
    ids, shade = Image.new("L", size), Image.new("L", size, NEUTRAL)
    pieces = pieces_of(layers)
    if len(pieces) > 255:
        raise ValueError(f"{len(pieces)} pieces do not fit into one byte")
    brushes = ImageDraw.Draw(ids), ImageDraw.Draw(shade)
    for number, (part, _) in enumerate(pieces, 1):
        paint_part(*brushes, part, number, placement, 0.003, 0.76)
    return np.asarray(ids), shade


def _weave_in(
    cloth: NDArray[np.uint8],
    number_of: NDArray[np.uint8],
    layers: list[FigureLayer],
    placement: Placement,
) -> None:
    """Blends each pattern's second colour into its patterned pieces, in place."""
    number = 0
    for layer in layers:
        first, number = number + 1, number + len(layer.parts)
        if layer.weave.pattern == "plain" or not layer.parts:
            continue
        patterned = np.zeros(256, np.bool_)
        turns = np.zeros(256, np.float32)
        for at, part in enumerate(layer.parts, first):
            patterned[at], turns[at] = part.ink == "main", part.turn
        rows, columns = np.nonzero(patterned[number_of])
        x, y = layer.to_garment(*placement.to_body(columns, rows))
        share = second_colour(layer.weave, *_turned(x, y, turns[number_of[rows, columns]]))[:, None]
        main, accent = (np.array(layer.inks[ink], np.float32) for ink in ("main", "accent"))
        cloth[rows, columns, :3] = main + (accent - main) * share


def _turned(x: Plane, y: Plane, degrees: NDArray[np.float32]) -> tuple[Plane, Plane]:
    angle = np.radians(degrees)
    c, s = np.cos(angle), np.sin(angle)
    return np.asarray(c * x + s * y, np.float32), np.asarray(c * y - s * x, np.float32)
