"""Where each pixel of a worn, drawn garment is in the picture of it that lies flat."""

from collections.abc import Sequence

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray

from drawing.draw import OVERSAMPLE, Garment, places_in_picture
from drawing.people.figure import choose_view, number_pieces, pieces_of
from drawing.people.people import dress_body


def trace_garment(
    person_seed: int, garments: Sequence[Garment], wanted: Garment, size: tuple[int, int],
    flat_size: int, view_seed: int,
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:  # fmt: skip
    """For the pixels of `draw_person`'s picture, (height, width, 2) float32: x and y in
    `draw_garment(wanted, flat_size, view_seed)`, NaN where the wanted garment is not seen; and that
    person's parse map (height, width).
    """
    height, width = size
    _, layers = dress_body(person_seed, garments)
    view = choose_view(height, width, default_rng([person_seed, 4]), full_figure=False)
    numbers = number_pieces(layers, view, height, width)[0][::OVERSAMPLE, ::OVERSAMPLE]
    traced = np.full((height, width, 2), np.nan, np.float32)
    number_of = {id(part): at for at, (part, _) in enumerate(pieces_of(layers), 1)}
    for layer in layers:
        if layer.garment != wanted or not layer.parts:
            continue
        own = [number_of[id(part)] for part in layer.parts]
        rows, columns = np.nonzero(np.isin(numbers, own))
        u, v = layer.flat(*view.to_body(columns * OVERSAMPLE, rows * OVERSAMPLE))
        flat = np.stack([u, v], 1).astype(np.float32)
        traced[rows, columns] = places_in_picture(wanted, flat, flat_size, view_seed)
    table = np.zeros(256, np.uint8)
    for number, (_, layer) in enumerate(pieces_of(layers), 1):
        table[number] = layer.atr
    return traced, table[numbers]
