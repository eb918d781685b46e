"""How well clicks and boxes cut out what they mean: sections of the benchmark `parsing_quality`.

Asked about is every piece of a garment, a head or a person of at least a two-hundredth of the
picture: by one click, as far from its edge as it gets, and by its bounding box. A click can't mean
the whole person. What is refused counts as an IoU of 0.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from drawing.captions import combinations
from drawing.draw import Garment, draw_with_cover
from drawing.people.people import draw_person
from errors import Invalid
from models.segmenter.atr import CATEGORIES, PERSON, SHOES, Atr
from models.segmenter.prompts import Features
from models.segmenter.regions import bbox_of, iou, pieces
from models.segmenter.segmenter import Segmenter
from models.segmenter.shapes import Mask, SegmentPrompt
from training.photos.photos import split_of
from training.photos.street import ground_truth, read_street

Masks = dict[str, tuple[Mask, Mask]]
"""By what it is: where it is, and where that is known."""
GROUPS: Mapping[str, frozenset[Atr]] = {
    **{str(name): group for name, group in CATEGORIES.items()}, "person": PERSON, "shoe": SHOES,
    **{each.name.lower(): frozenset({each})
       for each in (Atr.BAG, Atr.HAT, Atr.HAIR, Atr.SCARF, Atr.FACE)},
}  # fmt: skip
LEAST, MOST = 0.005, 3
"""Of the picture, and pieces of one kind."""


def street_pictures(folder: Path, split: str) -> Iterator[tuple[NDArray[np.uint8], Masks]]:
    """Photographs and what they show."""
    for path in sorted((folder / "parse").glob("*.png")):
        if split_of(path.stem) == split:
            image, codes = read_street(folder, path.stem)
            yield image, {name: ground_truth(codes, group) for name, group in GROUPS.items()}


def drawn_people(first_seed: int, count: int) -> Iterator[tuple[NDArray[np.uint8], Masks]]:
    """Drawn people and what they wear."""
    for seed in range(first_seed, first_seed + count):
        drawn = draw_person(seed, size=(480, 336))
        known_mask = np.ones(drawn.parse.shape, np.bool_)
        yield (
            np.asarray(drawn.image),
            {
                name: (np.isin(drawn.parse, sorted(group)), known_mask)
                for name, group in GROUPS.items()
            },
        )


def drawn_garments(first_seed: int, count: int) -> Iterator[tuple[NDArray[np.uint8], Masks]]:
    """Drawn garments that lie flat, of combinations that training never draws."""
    kinds, rng = combinations(held_out=True), np.random.default_rng(5)
    for seed in range(first_seed, first_seed + count):
        garment = Garment(*kinds[int(rng.integers(len(kinds)))], style_seed=seed)
        picture, cover = draw_with_cover(garment, 320, seed)
        truth = np.asarray(cover) > 127
        yield np.asarray(picture), {"garment": (truth, np.ones_like(truth))}


def asks_of(piece: Mask, name: str) -> dict[str, SegmentPrompt]:
    """The click and the box that mean a piece."""
    deep = ndimage.distance_transform_edt(np.pad(piece, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(deep.argmax()), piece.shape)
    box_of_piece = bbox_of(piece) or (0, 0, 1, 1)
    x, y, width, height = box_of_piece
    asks = {"box": SegmentPrompt(box=(x, y, x + width, y + height))}
    if name != "person":
        asks["click"] = SegmentPrompt(points=((float(column), float(row), True),))
    return asks


def measure(
    variants: Sequence[tuple[str, Segmenter]],
    pictures: Iterable[tuple[NDArray[np.uint8], Masks]],
) -> dict[tuple[str, str], list[float]]:
    """IoUs by (click or box, variant); the last variant's features hold what all of them need."""
    ious: dict[tuple[str, str], list[float]] = {}
    segmenter = variants[-1][1]
    for image, masks in pictures:
        features = segmenter.encode([segmenter.prepare_pixels(image)])[0]
        for name, (truth, known_mask) in masks.items():
            for piece in pieces(truth, int(LEAST * truth.size))[:MOST]:
                for kind, ask in asks_of(piece, name).items():
                    for variant, cutter in variants:
                        mask = _cut(cutter, features, ask) & known_mask
                        ious.setdefault((kind, variant), []).append(iou(mask, piece))
    return ious


def rows(
    variants: Sequence[tuple[str, Segmenter]],
    pictures: Mapping[str, Iterable[tuple[NDArray[np.uint8], Masks]]],
) -> list[str]:
    """A section of the table."""
    lines = [
        "\n## Prompts: one click, or the box, of each piece of at least 0.5 % of the picture\n",
        "| pictures | prompt | by | mean IoU | missed | pieces |\n|---|---|---|---|---|---|",
    ]
    for source, some in pictures.items():
        for (kind, variant), each in sorted(measure(variants, some).items()):
            missed = sum(value == 0 for value in each)
            mean = float(np.mean(each))
            lines.append(f"| {source} | {kind} | {variant} | {mean:.3f} | {missed} | {len(each)} |")
    return lines


def _cut(segmenter: Segmenter, features: Features, ask: SegmentPrompt) -> Mask:
    """Empty where the segmenter refuses."""
    try:
        return segmenter.decode(features, ask).mask
    except Invalid:
        return np.zeros((features.parsing.height, features.parsing.width), np.bool_)
