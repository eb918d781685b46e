"""One PNG to look at: person, garment, mask, warp and result of twelve try-ons.

    python -m benchmarks.tryon.sheet --out docs/tryon.png                 # drawn people
    python -m benchmarks.tryon.sheet --out /tmp/real.png --photos ../shared/data   # never commit

Parse maps are predicted by the starter parser; a photograph's garment is cut out by the segmenter.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.random import default_rng
from PIL import Image

from benchmarks.tryon.quality import SEED, choose_pair
from drawing.draw import draw_with_cover
from errors import Invalid
from models.segmenter.parser import Parser, ParserConfig, load
from models.segmenter.segmenter import Segmenter
from models.segmenter.shapes import Category, Mask, SegmentPrompt
from models.tryon.painter import CompositePainter
from models.tryon.pipeline import TryOnPipeline
from models.tryon.shapes import GarmentPicture, TryOnOptions
from models.tryon.warping.flow_network import load_flow

CELL = (120, 160)
LABELS: dict[Category, tuple[str, ...]] = {
    "upper": ("T-Shirt", "Longsleeve", "Shirt", "Hoodie"),
    "lower": ("Pants", "Skirt", "Shorts"),
    "dress": ("Dress",),
}
ORDER: tuple[Category, ...] = ("upper", "upper", "lower", "dress")
Pair = tuple[Image.Image, Image.Image, Mask, Category]


def drawn_pairs(count: int) -> Iterator[Pair]:
    """Held-out drawn people and garments."""
    for at in range(count):
        kind = ORDER[at % len(ORDER)]
        person, _, garment = choose_pair(kind, 100 + at)
        picture, cover = draw_with_cover(garment, 256, SEED + at)
        yield person.image, picture, np.asarray(cover) > 127, kind


def real_pairs(count: int, folder: Path, parser: Parser, seed: int) -> Iterator[Pair]:
    """Street photographs and photographs of garments, chosen by chance."""
    rng = default_rng(seed)
    people = sorted((folder / "people/photos").glob("*.jpg"))
    with (folder / "clothing/labels.csv").open() as file:
        clothes = [row for row in csv.DictReader(file) if row["kids"] == "False"]
    segmenter = Segmenter(parser, None)
    for at in range(count):
        kind = ORDER[at % len(ORDER)]
        fitting = [row["file"] for row in clothes if row["label"] in LABELS[kind]]
        path = folder / "clothing" / fitting[int(rng.integers(len(fitting)))]
        garment = Image.open(path).convert("RGB")
        try:
            features = segmenter.encode([segmenter.prepare_pixels(np.asarray(garment))])[0]
            segment = segmenter.decode(features, SegmentPrompt("garment"))
        except Invalid as refused:
            print(f"{path.name}: {refused.detail}")
            continue
        person = Image.open(people[int(rng.integers(len(people)))]).convert("RGB")
        yield person, garment, segment.mask, kind


def main() -> None:
    """Writes the sheet: a column a try-on, at most twelve."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--photos", type=Path)
    options.add_argument("--seed", type=int, default=0)
    args = options.parse_args()
    torch.set_num_threads(1)
    parser = load(ParserConfig(max_batch=1))
    pipeline = TryOnPipeline(parser, CompositePainter(), flow=load_flow())
    pairs = real_pairs(12, args.photos, parser, args.seed) if args.photos else drawn_pairs(12)
    columns = [column for pair in pairs if (column := draw_column(pipeline, pair)) is not None]
    sheet = Image.new("RGB", (CELL[0] * len(columns), columns[0].height), "white")
    for at, column in enumerate(columns):
        sheet.paste(column, (at * CELL[0], 0))
    sheet.quantize(128).save(args.out, optimize=True)
    print(f"{args.out}: {len(columns)} try-ons, {args.out.stat().st_size:,} bytes")


def draw_column(pipeline: TryOnPipeline, pair: Pair) -> Image.Image | None:
    """Person, garment, mask, warp and result, one below the other; None where it is refused."""
    person, garment, mask, kind = pair
    try:
        result = pipeline.dress(person, GarmentPicture(garment, mask), TryOnOptions(kind, "fast"))
    except Invalid as refused:
        print(f"{kind}: {refused.detail}")
        return None
    layer = result.garment
    assert layer is not None
    warp = layer.colour + 255 * (1 - layer.cover[..., None])
    pictures = [
        person, garment, Image.fromarray((result.share * 255).astype(np.uint8)),
        Image.fromarray(np.clip(warp, 0, 255).astype(np.uint8)), result.picture,
    ]  # fmt: skip
    column = Image.new("RGB", (CELL[0], CELL[1] * len(pictures)), "white")
    for row, picture in enumerate(pictures):
        thumbnail = picture.convert("RGB")
        thumbnail.thumbnail((CELL[0] - 4, CELL[1] - 4), Image.Resampling.LANCZOS)
        left, top = (CELL[0] - thumbnail.width) // 2, (CELL[1] - thumbnail.height) // 2
        place = (left, row * CELL[1] + top)
        column.paste(thumbnail, place)
    return column


if __name__ == "__main__":
    main()
