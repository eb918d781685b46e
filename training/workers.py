"""Drawing in several processes: pictures are the slow part of a recipe on a machine with a GPU."""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Arrays = tuple[NDArray[np.uint8], ...]
CHUNK = 25


class Draw(Protocol):
    """Draws `count` pictures, the first from `seed`: arrays whose first axis is the pictures'."""

    def __call__(self, *, count: int, seed: int) -> Arrays: ...


def spread(draw: Draw, count: int, seed: int, workers: int) -> Arrays:
    """What `draw` gives for `count` pictures, joined: the same for any number of workers."""
    sizes = [min(CHUNK, count - at) for at in range(0, count, CHUNK)]
    seeds = range(seed, seed + count, CHUNK)
    if workers <= 1:
        return _joined(
            [draw(count=size, seed=first) for size, first in zip(sizes, seeds, strict=True)]
        )
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        return _joined(list(pool.map(partial(_drawn, draw), sizes, seeds)))


def _drawn(draw: Draw, count: int, seed: int) -> Arrays:
    return draw(count=count, seed=seed)


def _joined(drawn: Sequence[Arrays]) -> Arrays:
    return tuple(np.concatenate(each) for each in zip(*drawn, strict=True))
