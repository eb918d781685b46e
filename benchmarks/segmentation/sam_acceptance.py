"""Compares thresholds for using SAM's masks, on pictures outside the test split.

They are for `models.segmenter.sam.Acceptance`, which a checkpoint's `sam_config.json` may hold.
A rule is good if it makes no kind of picture worse.

Run: python -m benchmarks.segmentation.sam_acceptance --street ../shared/data/people
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.segmentation.parsing_quality import FIRST_SEED
from drawing.captions import combinations
from drawing.draw import Garment, draw_with_cover
from errors import Invalid
from models.segmenter.atr import PERSON, UPPER, Atr
from models.segmenter.parser import ParserConfig
from models.segmenter.prompts import Features, Selection
from models.segmenter.prompts import resize as resized
from models.segmenter.regions import iou
from models.segmenter.sam import SamConfig
from models.segmenter.segmenter import Segmenter, draw, load, mean_of
from models.segmenter.shapes import Mask, SegmentPrompt, Target
from models.segmenter.targets import find_target, sam_prompt
from training.photos.photos import split_of
from training.photos.street import ground_truth, read_street

TUNED_SEED = FIRST_SEED + 1_000_000
"""Seeds that neither training nor `benchmarks/segmentation/parsing_quality.py` draws."""
SURE = (0.0, 0.8, 0.85, 0.9, 0.92, 0.94, 0.96, 0.98)
AGREEMENTS = (0.0, 0.8, 0.85, 0.9, 0.92, 0.94, 0.96, 0.98)
DRAWN = ("parser", "sam", "both")


@dataclass(frozen=True)
class Trial:
    """One picture and target: the IoU that SAM predicts, its agreement with the parser, and the IoU
    of the parser's mask, of SAM's and of their mean with the ground truth.
    """

    kind: str
    predicted_iou: float
    agreement: float
    ious: dict[str, float]


def attempt(
    segmenter: Segmenter,
    features: Features,
    kind: str,
    target: Target,
    truth: Mask,
    known_mask: Mask,
) -> Iterator[Trial]:
    """Yields the trial; nothing without a ground truth or if the segmenter finds no such target."""
    if segmenter.sam is None or features.embedding is None or not truth.any():
        return
    try:
        area = find_target(features, target)
    except Invalid:
        return
    cut = segmenter.sam.decode(
        features.embedding, [sam_prompt(features, SegmentPrompt(target), area)]
    )[0]
    plane = resized(cut.probability, features.size)
    agreement = iou(plane > 0.5, area.mask)
    drafts = {
        "parser": Selection(area, area.plane, "parser"), "sam": Selection(area, plane, "sam"),
        "both": Selection(area, mean_of(area.plane, plane), "sam"),
    }  # fmt: skip
    ious = {}
    for name, draft in drafts.items():
        try:
            ious[name] = iou(draw(features, draft).mask & known_mask, truth)
        except Invalid:
            ious[name] = 0.0
    yield Trial(kind, cut.iou, agreement, ious)


def run_trials(segmenter: Segmenter, street: Path, split: str, drawings: int) -> Iterator[Trial]:
    """People and upper-body garments of photographs, and drawn garments."""
    for path in sorted((street / "parse").glob("*.png")):
        if split_of(path.stem) == split:
            image, codes = read_street(street, path.stem)
            features = segmenter.encode([segmenter.prepare_pixels(image)])[0]
            groups: tuple[tuple[Target, frozenset[Atr]], ...] = (
                ("person", PERSON),
                ("upper", UPPER),
            )
            for target, group in groups:
                yield from attempt(segmenter, features, target, target, *ground_truth(codes, group))
    kinds, rng = combinations(held_out=True), np.random.default_rng(4)
    for seed in range(TUNED_SEED, TUNED_SEED + drawings):
        garment = Garment(*kinds[int(rng.integers(len(kinds)))], style_seed=seed)
        picture, cover = draw_with_cover(garment, 320, seed)
        truth = np.asarray(cover) > 127
        features = segmenter.encode([segmenter.prepare_pixels(np.asarray(picture))])[0]
        known_mask = np.ones_like(truth)
        yield from attempt(segmenter, features, "drawn garment", "garment", truth, known_mask)


def gains(trials: list[Trial], sure: float, agreement: float) -> dict[str, tuple[float, int]]:
    """By kind: what the rule adds to the mean IoU, and how many pictures it changes."""
    by_kind = {}
    for kind in sorted({one.kind for one in trials}):
        every = [one for one in trials if one.kind == kind]
        changed = [one.ious["both"] - one.ious["parser"] for one in every
                   if one.predicted_iou >= sure and one.agreement >= agreement]  # fmt: skip
        by_kind[kind] = sum(changed) / len(every), len(changed)
    return by_kind


def _worth(by_kind: dict[str, tuple[float, int]]) -> tuple[float, float]:
    """Sorts rules: first those that make no kind worse, then by the sum of the gains."""
    each = [gain for gain, _ in by_kind.values()]
    return min(0.0, *each), sum(each)


def main() -> None:
    """Prints the mean IoU of each mask on its own, then the best rules."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--street", type=Path, required=True)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--drawings", type=int, default=60)
    parser.add_argument("--sam", default="starter")
    args = parser.parse_args()
    segmenter = load(ParserConfig(), SamConfig(args.sam))
    trials = list(run_trials(segmenter, args.street, args.split, args.drawings))
    for kind in sorted({one.kind for one in trials}):
        every = [one for one in trials if one.kind == kind]
        means = [f"{name} {np.mean([one.ious[name] for one in every]):.4f}" for name in DRAWN]
        off = np.mean([abs(one.predicted_iou - one.ious["sam"]) for one in every])
        print(f"{kind}, {len(every)}: IoU {', '.join(means)}; predicted IoU off by {off:.3f}")
    rules = [(gains(trials, *rule), rule) for rule in product(SURE, AGREEMENTS)]
    rules.sort(key=lambda pair: _worth(pair[0]), reverse=True)
    for by_kind, (sure, agreement) in rules[:20]:
        cells = [f"{kind} {gain:+.4f} ({count})" for kind, (gain, count) in by_kind.items()]
        print(f"iou {sure:.2f} agreement {agreement:.2f}: {', '.join(cells)}")


if __name__ == "__main__":
    main()
