"""The exact correspondence between a drawn person's garment and the garment's flat-lay picture."""

from collections.abc import Sequence

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray

from drawing.draw import OVERSAMPLE, Garment, places_in_picture
from drawing.people.figure import choose_placement, number_pieces, pieces_of
from drawing.people.people import dress_body


def trace_garment(
    person_seed: int, garments: Sequence[Garment], garment: Garment, size: tuple[int, int],
    flat_size: int, view_seed: int,
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:  # fmt: skip
    """The coordinates of a worn garment's pixels in its flat-lay picture, and the parse map.

    The first is (height, width, 2) float32 for the pixels of `draw_person`'s picture: x and y in
    `draw_garment(garment, flat_size, view_seed)`, NaN where the garment is not visible. The parse
    map is (height, width).
    """
    height, width = size
    _, layers = dress_body(person_seed, garments)
    placement = choose_placement(height, width, default_rng([person_seed, 4]), full_figure=False)
    numbers = number_pieces(layers, placement, height, width)[0][::OVERSAMPLE, ::OVERSAMPLE]
    traced = np.full((height, width, 2), np.nan, np.float32)
    number_of = {id(part): at for at, (part, _) in enumerate(pieces_of(layers), 1)}
    for layer in layers:
        if layer.garment != garment or not layer.parts:
            continue
        own = [number_of[id(part)] for part in layer.parts]
        rows, columns = np.nonzero(np.isin(numbers, own))
        u, v = layer.to_garment(*placement.to_body(columns * OVERSAMPLE, rows * OVERSAMPLE))
        points = np.stack([u, v], 1).astype(np.float32)
        traced[rows, columns] = places_in_picture(garment, points, flat_size, view_seed)
    table = np.zeros(256, np.uint8)
    for number, (_, layer) in enumerate(pieces_of(layers), 1):
        table[number] = layer.atr
    return traced, table[numbers]
