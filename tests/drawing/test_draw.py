"""Drawn garments: one product looks the same, another different, and words fit pictures."""

import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drawing.captions import combinations
from drawing.draw import (
    CATEGORIES,
    COLOURS,
    PATTERNS,
    Garment,
    caption,
    draw_garment,
)
from training.photos.colour import name_colour

ROOT = Path(__file__).resolve().parents[2]


def distance(one: Image.Image, two: Image.Image) -> float:
    return float(np.abs(np.asarray(one, np.float32) - np.asarray(two, np.float32)).mean())


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_style_can_be_drawn(category: str) -> None:
    for seed, (colour, pattern) in enumerate(product(COLOURS, PATTERNS)):
        image = draw_garment(Garment(category, colour, pattern, seed), 48, seed)
        assert (image.mode, image.size) == ("RGB", (48, 48))


def test_a_garment_and_view_are_always_the_same_picture() -> None:
    garment = Garment("jacket", "green", "checked", 11)
    assert draw_garment(garment, 128, 2).tobytes() == draw_garment(garment, 128, 2).tobytes()


def test_views_and_styles_differ() -> None:
    garment, other = Garment("dress", "red", "plain", 1), Garment("dress", "red", "plain", 2)
    assert distance(draw_garment(garment, 96, 0), draw_garment(garment, 96, 1)) > 2
    assert distance(draw_garment(garment, 96, 0), draw_garment(other, 96, 0)) > 2


def test_another_size_is_the_same_picture() -> None:
    garment = Garment("bag", "purple", "striped", 5)
    small, large = draw_garment(garment, 96, 3), draw_garment(garment, 192, 3)
    assert distance(small, large.resize((96, 96), Image.Resampling.BOX)) < 12


@pytest.mark.parametrize("colour", COLOURS)
def test_the_middle_has_the_colour_that_the_caption_names(colour: str) -> None:
    garments = [
        Garment(category, colour, "plain", seed)
        for category in ("t-shirt", "skirt", "shirt")
        for seed in range(4)
    ]
    named = [name_colour(np.asarray(draw_garment(g, 128, 1))) for g in garments]
    assert named.count(colour) >= 8, named


def test_captions() -> None:
    assert caption(Garment("dress", "red", "striped")) == "red striped dress"
    assert caption(Garment("shorts", "navy")) == "navy shorts"


@pytest.mark.parametrize(
    "wrong", [("hat", "red", "plain"), ("dress", "teal", "plain"), ("dress", "red", "paisley")]
)
def test_unknown_words_are_refused(wrong: tuple[str, str, str]) -> None:
    with pytest.raises(ValueError, match="no such"):
        Garment(*wrong)


def test_some_combinations_are_held_out() -> None:
    held_out, drawn = set(combinations(held_out=True)), set(combinations(held_out=False))
    assert not held_out & drawn
    assert len(held_out | drawn) == 432
    assert 0.1 < len(held_out) / 432 < 0.2
    assert ("dress", "red", "striped") in held_out


def test_drawing_is_fast() -> None:
    started = time.process_time()
    for seed in range(20):
        draw_garment(Garment("shirt", "blue", "checked", seed), 256, seed)
    assert 20 / (time.process_time() - started) > 10


def test_drawing_needs_neither_torch_nor_the_studio() -> None:
    code = (
        "import sys, drawing.draw\n"
        "heavy = {'torch', 'models', 'studio', 'settings', 'ray'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
