"""Draws pictures in several processes, since drawing is slower than training on a GPU."""

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


def draw_in_processes(draw: Draw, count: int, seed: int, workers: int) -> Arrays:
    """The arrays of `count` pictures by `draw`; they don't depend on the number of workers."""
    sizes = [min(CHUNK, count - at) for at in range(0, count, CHUNK)]
    seeds = range(seed, seed + count, CHUNK)
    if workers <= 1:
        return _concatenate(
            [draw(count=size, seed=first) for size, first in zip(sizes, seeds, strict=True)]
        )
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        return _concatenate(list(pool.map(partial(_draw_chunk, draw), sizes, seeds)))


def _draw_chunk(draw: Draw, count: int, seed: int) -> Arrays:
    return draw(count=count, seed=seed)


def _concatenate(chunks: Sequence[Arrays]) -> Arrays:
    return tuple(np.concatenate(arrays) for arrays in zip(*chunks, strict=True))
