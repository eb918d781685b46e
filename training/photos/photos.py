"""The clothing photographs as arrays: splits by file name, pixels, estimated garment colours."""

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.photos.colour import name_colour

TEST_SHARE, VALIDATION_SHARE = 20, 8  # per cent of all photographs


@dataclass(frozen=True)
class Photos:
    """Photographs in memory, in the order of their file names.

    pixels: (n, size, size, 3) uint8 RGB, squashed to a square; labels: n labels of the data set
    ("T-Shirt"); colours: n estimated colour names, "" where no colour dominates.
    """

    files: list[str]
    pixels: NDArray[np.uint8]
    labels: list[str]
    colours: list[str]


def split_of(file: str) -> str:
    """The split of a photograph, by a hash of its name: train, validation or test."""
    bucket = int(hashlib.sha256(file.encode()).hexdigest()[:8], 16) % 100
    if bucket < TEST_SHARE:
        return "test"
    return "validation" if bucket < TEST_SHARE + VALIDATION_SHARE else "train"


def list_photos(folder: Path, splits: set[str]) -> list[tuple[str, str]]:
    """(file, label) of every photograph of these splits, ordered by file name."""
    with (folder / "labels.csv").open(newline="") as lines:
        rows = sorted((row["file"], row["label"]) for row in csv.DictReader(lines))
    return [(file, label) for file, label in rows if split_of(file) in splits]


def read_photo(path: Path, size: int) -> NDArray[np.uint8]:
    """One photograph as (size, size, 3) uint8 RGB, its sides squashed to a square."""
    with Image.open(path) as image:
        square = image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(square, dtype=np.uint8)


def load_photos(folder: Path, splits: set[str], size: int) -> Photos:
    """Decodes the photographs of these splits at `size` pixels."""
    rows = list_photos(folder, splits)
    pixels = np.empty((len(rows), size, size, 3), np.uint8)
    for at, (file, _) in enumerate(rows):
        pixels[at] = read_photo(folder / file, size)
    colours = [name_colour(picture) for picture in pixels]
    return Photos([file for file, _ in rows], pixels, [label for _, label in rows], colours)


def sample_photos(
    weights: NDArray[np.float64], count: int, rng: np.random.Generator, *, without_last: int
) -> NDArray[np.int64]:
    """`count` distinct rows, drawn by their weights, none of the last `without_last` rows."""
    weights = weights.copy()
    weights[len(weights) - without_last :] = 0.0
    return rng.choice(len(weights), count, replace=False, p=weights / weights.sum())


def join(parts: list[Photos]) -> Photos:
    """Concatenates photographs in order."""
    return Photos(
        [file for part in parts for file in part.files],
        np.concatenate([part.pixels for part in parts]),
        [label for part in parts for label in part.labels],
        [colour for part in parts for colour in part.colours],
    )
