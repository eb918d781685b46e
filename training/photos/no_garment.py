"""Pictures without a garment: drawn floors and streets, and photographs' areas beside people."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.random import Generator, default_rng
from PIL import Image

from drawing.backdrop import lay_on_backdrop
from drawing.people.street_ground import draw_ground
from training.photos.colour import Pixels
from training.photos.photos import split_of
from training.workers import Arrays

LEAST_WIDE = 110
"""The narrowest strip beside a person that is used, in pixels."""


def draw_street(rng: Generator) -> Pixels:
    """A background of drawn people, (384, 288, 3) uint8 RGB."""
    return np.clip(draw_ground(384, 288, rng), 0, 255).astype(np.uint8)


def draw_floor(rng: Generator) -> Pixels:
    """A background of drawn flat-lays, (320, 320, 3) uint8 RGB."""
    blank = Image.new("L", (320, 320))
    return np.asarray(lay_on_backdrop(Image.new("RGB", blank.size), blank, blank, (0, 0, 0), rng))


def beside_people(folder: Path, splits: set[str]) -> Iterator[Pixels]:
    """The street to the left or right of each person, if it is wide enough."""
    for parse in sorted((folder / "parse").glob("*.png")):
        if split_of(parse.stem) not in splits:
            continue
        with Image.open(parse) as labels, Image.open(folder / f"photos/{parse.stem}.jpg") as photo:
            person, pixels = np.asarray(labels) > 0, np.asarray(photo.convert("RGB"))
        columns = np.flatnonzero(person.any(0))
        if not len(columns):
            continue
        sides = ((0, int(columns[0])), (int(columns[-1]) + 1, person.shape[1]))
        left, right = max(sides, key=lambda side: side[1] - side[0])
        if right - left < LEAST_WIDE:
            continue
        tall = min(len(person), round(1.5 * (right - left)))
        top = (len(person) - tall) // 2
        yield pixels[top : top + tall, left:right]


def draw_without_garment(count: int, height: int, width: int, seed: int) -> Arrays:
    """Alternate floors and streets: pixels (n, h, w, 3), codes (n, h, w), all background."""
    drawn = [
        (draw_floor if at % 2 else draw_street)(default_rng([seed + at, 31])) for at in range(count)
    ]
    return squash(drawn, height, width)


def squash(pictures: list[Pixels], height: int, width: int) -> Arrays:
    """Resizes pictures of any size to pixels (n, h, w, 3), with codes of background (n, h, w)."""
    pixels = np.empty((len(pictures), height, width, 3), np.uint8)
    for at, picture in enumerate(pictures):
        small = Image.fromarray(picture).resize((width, height), Image.Resampling.BOX)
        pixels[at] = np.asarray(small)
    return pixels, np.zeros((len(pictures), height, width), np.uint8)
