"""The starter embedder's vectors of drawn garments and of queries, for `benchmarks.index.scale`."""

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray

from drawing.captions import KIND_OF_CATEGORY, Traits, combinations, write_caption
from drawing.draw import Garment, draw_garment
from models.embedder.embedder import EmbedderConfig, load

SIZE, FIRST_SEED = 112, 600_000_000  # pixels; style seeds that training never uses
QUERIES, CHUNK = 500, 512


def starter_vectors(
    count: int,
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """As ../shared/bench/vectors.py gives them: items, their categories, image and text queries.

    Items are `count` garments of all 432 combinations, none drawn twice; image queries are 500
    further garments; text queries 500 captions, long and short ones.
    """
    model, rng = load(EmbedderConfig(max_batch=32)), default_rng(0)
    every = combinations(held_out=True) + combinations(held_out=False)
    choices = rng.integers(len(every), size=count + QUERIES)
    items = np.empty((count + QUERIES, model.dim), np.float32)
    for start in range(0, len(items), CHUNK):
        rows = range(start, min(start + CHUNK, len(items)))
        drawn = []
        for row in rows:
            category, colour, pattern = every[choices[row]]
            garment = Garment(category, colour, pattern, FIRST_SEED + row)
            drawn.append(model.preprocess(draw_garment(garment, SIZE)))
        items[rows.start : rows.stop] = model.embed_images(drawn)
        print(f"{rows.stop:,} of {len(items):,} garments drawn", end="\r", flush=True)
    captions = [
        write_caption(Traits(KIND_OF_CATEGORY[kind], colour, pattern, drawn=True), rng).text
        for kind, colour, pattern in (every[at] for at in rng.integers(len(every), size=QUERIES))
    ]
    texts = model.embed_texts(captions)
    return items[:count], choices[:count].astype(np.int32), items[count:], texts
