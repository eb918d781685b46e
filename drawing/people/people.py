"""Draws people in any garments, with exact parse maps; a seed always gives the same person."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray
from PIL import Image

from drawing.backdrop import folds, grain, light_over
from drawing.draw import CATEGORIES, COLOURS, NEUTRAL, OVERSAMPLE, PATTERNS, Garment
from drawing.outline import Point
from drawing.people.accessories import choose_accessories
from drawing.people.body import BodyShape, choose_body
from drawing.people.dressing import KINDS
from drawing.people.figure import FigureLayer, build_layers, choose_placement, paint, pieces_of
from drawing.people.street_ground import draw_ground


@dataclass(frozen=True)
class DrawnPerson:
    """image: RGB; parse: (height, width) uint8 of `Atr`; landmarks: name -> (x, y) in pixels of
    the image, "left" being the wearer's.
    """

    image: Image.Image
    parse: NDArray[np.uint8]
    landmarks: dict[str, Point]


def kind_of(garment: Garment) -> str:
    """The place of the garment on the body: "upper", "lower" or "dress"."""
    return KINDS[garment.category]


def draw_person(
    person_seed: int, garments: Sequence[Garment] = (), size: tuple[int, int] = (256, 192),
    full_figure: bool = False,
) -> DrawnPerson:  # fmt: skip
    """Draws the person of this seed in the garments, completed by the person's own outfit.

    size: (height, width). Body, pose, placement, light, backdrop and accessories depend on the
    seed alone, so two calls with one seed differ only by the garments. full_figure: the frame never
    cuts the person.
    """
    height, width = size
    body, layers = dress_body(person_seed, garments)
    placement = choose_placement(height, width, default_rng([person_seed, 4]), full_figure)
    number_of, cloth, shade = paint(layers, placement, height, width)
    rng = default_rng([person_seed, 5])
    picture = _light_up(cloth, shade, draw_ground(height, width, rng), rng)
    table = np.zeros(256, np.uint8)
    for number, (_, layer) in enumerate(pieces_of(layers), 1):
        table[number] = layer.atr
    landmarks = {
        name: (x / OVERSAMPLE, y / OVERSAMPLE)
        for name, point in body.landmarks().items()
        for x, y in placement.to_canvas([point])
    }
    return DrawnPerson(picture, table[number_of[::OVERSAMPLE, ::OVERSAMPLE]], landmarks)


def dress_body(
    person_seed: int, garments: Sequence[Garment]
) -> tuple[BodyShape, list[FigureLayer]]:
    """The body of this seed, and the layers of body and clothes from back to front."""
    body = choose_body(default_rng([person_seed, 1]))
    accessories = choose_accessories(body, default_rng([person_seed, 2]))
    outfit = complete_outfit(person_seed, garments)
    return body, build_layers(body, accessories, outfit, default_rng([person_seed, 3]))


def draw_people(
    count: int, height: int, width: int, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """People from `seed` on, in their own outfits: pixels (n, h, w, 3), parse maps (n, h, w)."""
    pixels = np.empty((count, height, width, 3), np.uint8)
    parse = np.empty((count, height, width), np.uint8)
    for at in range(count):
        person = draw_person(seed + at, size=(height, width))
        pixels[at], parse[at] = np.asarray(person.image), person.parse
    return pixels, parse


def complete_outfit(person_seed: int, garments: Sequence[Garment]) -> list[Garment]:
    """The garments and the person's own ones: a dress, or an upper and a lower garment."""
    rng = default_rng([person_seed, 6])
    prefers_dress = rng.random() < 0.3
    own = {
        kind: Garment(
            str(rng.choice([name for name in CATEGORIES if KINDS.get(name) == kind])),
            str(rng.choice(COLOURS)), str(rng.choice(PATTERNS, p=[0.55, 0.15, 0.15, 0.15])),
            int(rng.integers(1 << 30)),
        )
        for kind in ("upper", "lower", "dress")
    }  # fmt: skip
    worn = {kind_of(garment): garment for garment in garments}
    if "dress" in worn or (not worn and prefers_dress):
        return [worn.get("dress", own["dress"])]
    return [worn.get("lower", own["lower"]), worn.get("upper", own["upper"])]


def _light_up(
    cloth: Image.Image, shade: Image.Image, ground: NDArray[np.float32], rng: Generator
) -> Image.Image:
    """Reduces the planes to the picture's size, composes them with the backdrop and adds light."""
    height, width = ground.shape[:2]
    size = max(height, width)
    small = np.asarray(cloth.reduce(OVERSAMPLE), np.float32)
    alpha = small[..., 3:] / 255
    tone = np.asarray(shade.reduce(OVERSAMPLE), np.float32)[..., None] / NEUTRAL
    crease = folds(size, rng)[:height, :width, None]
    light = light_over(size, rng)[:height, :width]
    picture = (small[..., :3] + 7 * alpha) * tone * crease + ground * (1 - alpha)
    picture = picture * light + grain(size)[:height, :width, None]
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
