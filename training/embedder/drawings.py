"""A pool of drawn garments for training, each in two views, grouped by their captions."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from drawing.captions import KIND_OF_CATEGORY, Traits, combinations
from drawing.draw import Garment, draw_garment

PHOTO_SIZE, DRAWING_SIZE = 160, 150
"""Pixels a side of the pictures in memory, from which crops for training are cut."""


@dataclass(frozen=True)
class Drawings:
    """Garments by combination of category, colour and pattern.

    pixels: (combinations, instances, 2 views, size, size, 3) uint8 RGB; traits: one a combination.
    """

    pixels: NDArray[np.uint8]
    traits: list[Traits]

    def sample(
        self, groups: int, instances: int, rng: Generator
    ) -> tuple[NDArray[np.uint8], list[Traits]]:
        """Both views of `instances` garments of each of `groups` combinations.

        Pixels (2 * groups * instances, size, size, 3): all first views, then all second views in
        the same order; and the traits of one half.
        """
        groups_drawn = rng.choice(len(self.traits), groups, replace=False)
        which = rng.permuted(np.tile(np.arange(self.pixels.shape[1]), (groups, 1)), axis=1)
        rows = np.repeat(groups_drawn, instances)
        pairs = self.pixels[rows, which[:, :instances].reshape(-1)]
        return np.concatenate([pairs[:, 0], pairs[:, 1]]), [self.traits[row] for row in rows]


def draw_pool(instances: int, size: int, seed: int) -> Drawings:
    """Draws `instances` garments of every combination that isn't held out, in two views each."""
    trained = combinations(held_out=False)
    pixels = np.empty((len(trained), instances, 2, size, size, 3), np.uint8)
    traits = [Traits(KIND_OF_CATEGORY[a], b, c, drawn=True) for a, b, c in trained]
    for at, combination in enumerate(trained):
        for instance in range(instances):
            garment = Garment(*combination, style_seed=seed + at * instances + instance)
            for view in range(2):
                pixels[at, instance, view] = np.asarray(draw_garment(garment, size, view))
    return Drawings(pixels, traits)
