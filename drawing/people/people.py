"""Draws people in given garments, with exact parse maps: the same person, dressed anew at will."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray
from PIL import Image

from drawing.backdrop import folds, grain, light_over
from drawing.draw import CATEGORIES, COLOURS, NEUTRAL, OVERSAMPLE, PATTERNS, Garment
from drawing.outline import Point
from drawing.people.body import Body, choose_body
from drawing.people.dressing import KINDS
from drawing.people.extras import choose_extras
from drawing.people.figure import Layer, build_layers, choose_view, paint, pieces_of
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
    """upper, lower or dress."""
    return KINDS[garment.category]


def draw_person(
    person_seed: int, garments: Sequence[Garment] = (), size: tuple[int, int] = (256, 192),
    full_figure: bool = False,
) -> DrawnPerson:  # fmt: skip
    """The person of this seed in the garments; what they leave bare the person's own outfit covers.

    size: (height, width). Body, pose, place, light, backdrop and everything else worn depend on
    the seed alone, so two calls differ by the garments only. full_figure: never cut by the frame.
    """
    height, width = size
    body, layers = dress_body(person_seed, garments)
    view = choose_view(height, width, default_rng([person_seed, 4]), full_figure)
    number_of, cloth, shade = paint(layers, view, height, width)
    rng = default_rng([person_seed, 5])
    picture = _light_up(cloth, shade, draw_ground(height, width, rng), rng)
    table = np.zeros(256, np.uint8)
    for number, (_, layer) in enumerate(pieces_of(layers), 1):
        table[number] = layer.atr
    landmarks = {
        name: (x / OVERSAMPLE, y / OVERSAMPLE)
        for name, point in body.landmarks().items()
        for x, y in view.to_canvas([point])
    }
    return DrawnPerson(picture, table[number_of[::OVERSAMPLE, ::OVERSAMPLE]], landmarks)


def dress_body(person_seed: int, garments: Sequence[Garment]) -> tuple[Body, list[Layer]]:
    """The body of this seed, and it and its clothes as layers from the back to the front."""
    body = choose_body(default_rng([person_seed, 1]))
    extras = choose_extras(body, default_rng([person_seed, 2]))
    outfit = complete_outfit(person_seed, garments)
    return body, build_layers(body, extras, outfit, default_rng([person_seed, 3]))


def draw_people(
    count: int, height: int, width: int, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """People in their own outfits: pixels (n, h, w, 3), parse maps (n, h, w); seed is the first."""
    pixels = np.empty((count, height, width, 3), np.uint8)
    parse = np.empty((count, height, width), np.uint8)
    for at in range(count):
        person = draw_person(seed + at, size=(height, width))
        pixels[at], parse[at] = np.asarray(person.image), person.parse
    return pixels, parse


def complete_outfit(person_seed: int, garments: Sequence[Garment]) -> list[Garment]:
    """The garments and what the person of this seed wears where they leave a gap."""
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
    """Reduce to the picture's size, lay over the backdrop, and light it."""
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
