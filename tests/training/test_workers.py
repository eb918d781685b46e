"""Drawing in several processes gives what one process draws."""

from functools import partial

import numpy as np

from training.photos.no_garment import draw_without_garment
from training.workers import CHUNK, draw_in_processes


def test_more_workers_draw_the_same() -> None:
    draw = partial(draw_without_garment, height=24, width=16)
    alone, together = (draw_in_processes(draw, CHUNK + 2, 5, workers) for workers in (1, 2))
    assert alone[0].shape == (CHUNK + 2, 24, 16, 3) and alone[1].shape == (CHUNK + 2, 24, 16)
    for first, second in zip(alone, together, strict=True):
        assert np.array_equal(first, second)


def test_pictures_differ_and_show_nothing() -> None:
    pixels, codes = draw_without_garment(count=4, height=24, width=16, seed=9)
    assert not codes.any()
    assert len({picture.tobytes() for picture in pixels}) == 4
