"""How often the segmenter finds a garment where none is, and misses one that is there.

    python -m benchmarks.segmentation.no_garment --photos ../shared/data [--count 60]

Without a garment: drawn streets, parks and walls, drawn grounds of flat-lay pictures, and the
ground beside people on street photographs. With one: held-out photographs of clothes.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.random import default_rng
from PIL import Image

from errors import Invalid
from models.segmenter.parser import ParserConfig
from models.segmenter.segmenter import Segmenter, load
from models.segmenter.shapes import Pixels, SegmentPrompt
from training.photos.no_garment import beside_people, draw_floor, draw_street
from training.photos.photos import list_photos

WORN = {"Shoes", "Hat", "Not sure", "Skip", "Other", "Undershirt", "Body"}
"""Labels of what a try-on doesn't take, or where the set itself isn't sure."""


def main() -> None:
    """Prints one row a kind of picture."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--photos", type=Path, required=True)
    options.add_argument("--count", type=int, default=60, help="pictures a kind")
    options.add_argument("--split", default="test", help="of the photographs")
    args = options.parse_args()
    torch.set_num_threads(1)
    segmenter = load(ParserConfig(max_batch=1), None)
    kinds = {
        "drawn streets and walls": (draw_street(default_rng(at)) for at in range(args.count)),
        "drawn grounds": (draw_floor(default_rng(at)) for at in range(args.count)),
        "ground of street photographs": beside_people(args.photos / "people", {args.split}),
        "photographs of garments": garments(args.photos / "clothing", 4 * args.count, args.split),
    }
    print("| pictures | number | refused |")
    print("| --- | ---: | ---: |")
    for name, pictures in kinds.items():
        refused = [is_refused(segmenter, picture) for picture in pictures]
        print(f"| {name} | {len(refused)} | {np.mean(refused):.1%} |", flush=True)


def is_refused(segmenter: Segmenter, picture: Pixels) -> bool:
    """Whether no garment is found."""
    try:
        features = segmenter.encode([segmenter.prepare_pixels(picture)])[0]
        segmenter.select(features, SegmentPrompt("garment"))
    except Invalid:
        return True
    return False


def garments(folder: Path, count: int, split: str) -> Iterator[Pixels]:
    """Photographs of clothes of a part of the set, chosen by chance."""
    files = [file for file, label in list_photos(folder, {split}) if label not in WORN]
    for file in default_rng(3).choice(files, min(count, len(files)), replace=False):
        with Image.open(folder / str(file)) as photo:
            yield np.asarray(photo.convert("RGB"))


if __name__ == "__main__":
    main()
