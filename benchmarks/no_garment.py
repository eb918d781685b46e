"""How often the segmenter finds a garment where none is, and misses one that is there.

    python -m benchmarks.no_garment --photos ../shared/data [--count 60]

Without a garment: drawn streets, parks and walls, drawn grounds of flat-lay pictures, and the
ground beside people on street photographs. With one: held-out photographs of clothes.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.random import default_rng
from numpy.typing import NDArray
from PIL import Image

from errors import Invalid
from models.asking import Ask
from models.parser import ParserConfig
from models.segmenter import Segmenter, load
from training.backdrop import lay_on_backdrop
from training.photos import list_photos
from training.street_ground import draw_ground

WORN = {"Shoes", "Hat", "Not sure", "Skip", "Other", "Undershirt", "Body"}
"""Labels of what a try-on doesn't take, or where the set itself isn't sure."""
LEAST_WIDE = 110
Pixels = NDArray[np.uint8]


def main() -> None:
    """Prints one row a kind of picture."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--photos", type=Path, required=True)
    options.add_argument("--count", type=int, default=60, help="pictures a kind")
    options.add_argument("--split", default="test", help="of the photographs of garments")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    segmenter = load(ParserConfig(max_batch=1), None)
    kinds = {
        "drawn streets and walls": streets(chosen.count),
        "drawn grounds": grounds(chosen.count),
        "ground of street photographs": beside_people(chosen.photos / "people", chosen.count),
        "photographs of garments": garments(
            chosen.photos / "clothing", 4 * chosen.count, chosen.split
        ),
    }
    print("| pictures | number | refused |")
    print("| --- | ---: | ---: |")
    for name, pictures in kinds.items():
        refused = [is_refused(segmenter, picture) for picture in pictures]
        print(f"| {name} | {len(refused)} | {np.mean(refused):.1%} |", flush=True)


def is_refused(segmenter: Segmenter, picture: Pixels) -> bool:
    """Whether no garment is found."""
    try:
        segmenter.draft(segmenter.encode(picture), Ask("garment"))
    except Invalid:
        return True
    return False


def streets(count: int) -> Iterator[Pixels]:
    """What drawn people stand before."""
    for seed in range(count):
        yield np.clip(draw_ground(384, 288, default_rng(seed)), 0, 255).astype(np.uint8)


def grounds(count: int) -> Iterator[Pixels]:
    """What drawn garments lie on."""
    blank = Image.new("L", (320, 320))
    for seed in range(count):
        cloth = Image.new("RGB", blank.size)
        yield np.asarray(lay_on_backdrop(cloth, blank, blank, (0, 0, 0), default_rng(seed)))


def beside_people(folder: Path, count: int) -> Iterator[Pixels]:
    """The street to the left or right of the person, where that is wide enough."""
    for parse in sorted((folder / "parse").glob("*.png")):
        with Image.open(parse) as labels, Image.open(folder / f"photos/{parse.stem}.jpg") as photo:
            person, pixels = np.asarray(labels) > 0, np.asarray(photo.convert("RGB"))
        columns = np.flatnonzero(person.any(0))
        if not len(columns):
            continue
        sides = ((0, int(columns[0])), (int(columns[-1]) + 1, person.shape[1]))
        left, right = max(sides, key=lambda side: side[1] - side[0])
        if right - left < LEAST_WIDE or count == 0:
            continue
        tall = min(len(person), round(1.5 * (right - left)))
        top = (len(person) - tall) // 2
        count -= 1
        yield pixels[top : top + tall, left:right]


def garments(folder: Path, count: int, split: str) -> Iterator[Pixels]:
    """Photographs of clothes of a part of the set, chosen by chance."""
    files = [file for file, label in list_photos(folder, {split}) if label not in WORN]
    for file in default_rng(3).choice(files, min(count, len(files)), replace=False):
        with Image.open(folder / str(file)) as photo:
            yield np.asarray(photo.convert("RGB"))


if __name__ == "__main__":
    main()
