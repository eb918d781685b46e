"""Draws docs/heatmap.png: the parts that raise and lower the starter's score of a drawn dress.

Run: python -m training.regressor.heatmap_sample --out docs/heatmap.png
"""

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image

from drawing.draw import Garment, draw_garment
from models.embedder.embedder import EmbedderConfig, load
from models.sales.columns import Offers
from models.sales.explanation.heatmap import change_in_view, draw_heatmap
from models.sales.explanation.occlusion import Influence, background, cover, patches
from models.sales.files import read_starter
from models.sales.regressor import RegressorConfig

GARMENT, SIDE_PX, COLOURS = Garment("dress", "red", "striped", 7), 320, 256
WHOLE = (0.0, 0.0, 1.0, 1.0)


def main() -> None:
    """Scores the dress and its covered copies, and draws the differences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    embedder, regressor = load(EmbedderConfig()), read_starter(RegressorConfig())
    picture, boxes = draw_garment(GARMENT, SIDE_PX, 9), patches()
    pixels = embedder.preprocess(picture)
    fill = background(pixels)
    vectors = embedder.embed_images([pixels, *(cover(pixels, box, fill) for box in boxes)])
    count, unknown = len(vectors), np.full(len(vectors), np.nan)
    words = np.array([GARMENT.category] * count), np.array([""] * count)
    expected = regressor.middle(Offers(vectors, *words, unknown, unknown))
    influence = Influence.of(boxes, expected[0], expected[1:], change_in_view(picture, WHOLE))
    page = Image.open(io.BytesIO(draw_heatmap(picture, influence, WHOLE)))
    page.quantize(COLOURS).save(out, optimize=True)
    print(f"{out}: {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
