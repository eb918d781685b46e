"""How well the starter parser and SAM cut out: held-out street photographs, drawn people, garments.

Run: python -m benchmarks.segmentation.parsing_quality --street ../shared/data/people
     [--flat-lays ../shared/data/clothing --sheet /tmp/sheet.png]
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.report import keep, today
from benchmarks.segmentation import prompt_quality
from drawing.captions import combinations
from drawing.draw import Garment, draw_with_cover
from drawing.people.people import draw_person
from errors import Invalid
from models.segmenter.atr import NAMES, PERSON, UPPER, Atr
from models.segmenter.parser import ParserConfig
from models.segmenter.prompts import Features
from models.segmenter.regions import iou
from models.segmenter.sam import SamConfig
from models.segmenter.segmenter import Segmenter, load
from models.segmenter.shapes import SegmentPrompt, Target
from settings import load_settings
from training.photos.photos import list_photos, split_of
from training.photos.street import ground_truth, read_street

FIRST_SEED = 900_000_000  # people and garments that training never draws
DRAWN, DRAWN_SIZE = 80, (320, 224)
Mask = NDArray[np.bool_]


class MaskPairs:
    """Found and true masks of one kind: IoU over all pixels, and the mean over the pictures."""

    def __init__(self) -> None:
        self.inside = self.union = 0
        self.each: list[float] = []

    def add(self, mask: Mask, truth: Mask, known_mask: Mask | None = None) -> None:
        """One picture's, where the truth is known; a picture that shows none and in which none is
        found counts for nothing.
        """
        mask = mask if known_mask is None else mask & known_mask
        self.inside += int((mask & truth).sum())
        self.union += int((mask | truth).sum())
        if truth.any():
            self.each.append(iou(mask, truth))

    @property
    def pooled(self) -> float:
        """Over all pixels."""
        return self.inside / self.union if self.union else float("nan")

    def row(self, name: str) -> str:
        """A line of the table."""
        mean = float(np.mean(self.each)) if self.each else float("nan")
        return f"| {name} | {self.pooled:.3f} | {mean:.3f} | {len(self.each)} |"


HEAD = "| what | IoU, all pixels | mean of pictures | pictures |\n|---|---|---|---|"


def cut(
    segmenter: Segmenter, features: Features, targets: tuple[Target, ...]
) -> dict[Target, Mask]:
    """Each target's mask; empty where the segmenter says that there is none."""
    masks = {}
    for target in targets:
        try:
            masks[target] = segmenter.decode(features, SegmentPrompt(target)).mask
        except Invalid:
            masks[target] = np.zeros((features.parsing.height, features.parsing.width), np.bool_)
    return masks


def variants(segmenter: Segmenter, plain: Segmenter) -> list[tuple[str, Segmenter]]:
    """The parser alone, and with SAM where there is one."""
    alone = [("parser", plain)]
    return [*alone, ("with SAM", segmenter)] if segmenter.sam else alone


def measure_street(segmenter: Segmenter, plain: Segmenter, folder: Path, split: str) -> list[str]:
    """Rows of photographs: the parse itself, and what callers get with SAM and without."""
    files = [p.stem for p in sorted((folder / "parse").glob("*.png")) if split_of(p.stem) == split]
    parsed = {"person": MaskPairs(), "upper-body garment": MaskPairs()}
    classes = {name: MaskPairs() for name in NAMES}
    served = {(kind, target): MaskPairs() for kind, _ in variants(segmenter, plain)
              for target in ("person", "upper")}  # fmt: skip
    for file in files:
        image, codes = read_street(folder, file)
        truth = {"person": ground_truth(codes, PERSON), "upper": ground_truth(codes, UPPER)}
        features = segmenter.encode([segmenter.prepare_pixels(image)])[0]
        parsing = features.parsing
        parsed["person"].add(parsing.mask(PERSON), *truth["person"])
        parsed["upper-body garment"].add(parsing.mask(UPPER), *truth["upper"])
        for each, name in enumerate(NAMES):
            classes[name].add(parsing.labels == each, *ground_truth(codes, {Atr(each)}))
        for kind, one in variants(segmenter, plain):
            for target, mask in cut(one, features, ("person", "upper")).items():
                served[kind, target].add(mask, *truth[target])
    lines = [f"\n## Street photographs: {len(files)} of the {split} part\n", HEAD]
    lines += [pairs.row(f"{name}, parse map") for name, pairs in parsed.items()]
    lines += [pairs.row(f"target {target}, {kind}") for (kind, target), pairs in served.items()]
    lines += [
        "\nPer class (sides of limbs and feet are told by their place in the picture; where a label"
        " leaves a class open, as a suit's leaves jacket and trousers, its pixels don't count):\n",
        HEAD,
    ]
    return lines + [pairs.row(name) for name, pairs in classes.items()]


def measure_people(segmenter: Segmenter) -> list[str]:
    """Rows of drawn people."""
    classes = {name: MaskPairs() for name in NAMES}
    person = MaskPairs()
    for seed in range(DRAWN):
        drawn = draw_person(FIRST_SEED + seed, size=DRAWN_SIZE)
        parsing = segmenter.parser.parse(np.asarray(drawn.image))
        person.add(parsing.mask(PERSON), drawn.parse > 0)
        for number, name in enumerate(NAMES):
            classes[name].add(parsing.labels == number, drawn.parse == number)
    mean = float(np.nanmean([pairs.pooled for pairs in classes.values()]))
    lines = [f"\n## Drawn people: {DRAWN} held out\n", f"18-class mIoU **{mean:.3f}**\n", HEAD]
    return [*lines, person.row("person"), *(pairs.row(name) for name, pairs in classes.items())]


def measure_garments(segmenter: Segmenter, plain: Segmenter) -> list[str]:
    """Rows of drawn flat-lay garments."""
    kinds = combinations(held_out=True)
    by_kind = {kind: MaskPairs() for kind, _ in variants(segmenter, plain)}
    rng = np.random.default_rng(3)
    for seed in range(DRAWN):
        garment = Garment(*kinds[int(rng.integers(len(kinds)))], style_seed=FIRST_SEED + seed)
        picture, cover = draw_with_cover(garment, 320, seed)
        truth = np.asarray(cover) > 127
        features = segmenter.encode([segmenter.prepare_pixels(np.asarray(picture))])[0]
        for kind, each in variants(segmenter, plain):
            by_kind[kind].add(cut(each, features, ("garment",))["garment"], truth)
    lines = [f"\n## Drawn flat-lay garments: {DRAWN} of held-out combinations\n", HEAD]
    return lines + [pairs.row(f"garment, {kind}") for kind, pairs in by_kind.items()]


def draw_sheet(segmenter: Segmenter, folder: Path, out: Path, count: int = 40) -> None:
    """A contact sheet of real flat-lay photographs with their masks: to be looked at, not kept."""
    rows = [row for row in list_photos(folder, {"test"}) if row[1] not in ("Skip", "Not sure")]
    step = len(rows) // count
    cells = []
    for file, label in rows[::step][:count]:
        image = np.asarray(Image.open(folder / file).convert("RGB"))
        features = segmenter.encode([segmenter.prepare_pixels(image)])[0]
        mask = cut(segmenter, features, ("garment",))["garment"]
        overlay = np.where(mask[..., None], image, image // 4 + np.array([150, 0, 110], np.uint8))
        pair = [
            Image.fromarray(each).resize((150, 200)) for each in (image, overlay.astype(np.uint8))
        ]
        cells.append(np.concatenate([np.asarray(each) for each in pair], axis=1))
        print(file, label, f"{mask.mean():.2f}")
    lines = [np.concatenate(cells[at : at + 5], axis=1) for at in range(0, count, 5)]
    Image.fromarray(np.concatenate(lines)).save(out)


def main() -> None:
    """Measures, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--street", type=Path, default=Path("../shared/data/people"))
    parser.add_argument("--split", default="test")
    parser.add_argument("--flat-lays", type=Path)
    parser.add_argument("--sheet", type=Path)
    args = parser.parse_args()
    checkpoint = load_settings().sam_checkpoint
    sam = None if checkpoint == "off" else SamConfig(checkpoint)
    segmenter = load(ParserConfig(), sam)
    plain = Segmenter(segmenter.parser, None)
    if args.flat_lays and args.sheet:
        draw_sheet(segmenter, args.flat_lays, args.sheet)
    lines = [
        "# Parsing quality\n",
        f"`python -m benchmarks.segmentation.parsing_quality {' '.join(sys.argv[1:])}` on "
        f"{today()}, `{segmenter.version}`.",
        *measure_street(segmenter, plain, args.street, args.split),
        *measure_people(segmenter),
        *measure_garments(segmenter, plain),
        *prompt_quality.rows(
            variants(segmenter, plain),
            {
                "street photographs": prompt_quality.street_pictures(args.street, args.split),
                "drawn people": prompt_quality.drawn_people(FIRST_SEED, DRAWN),
                "drawn garments": prompt_quality.drawn_garments(FIRST_SEED, DRAWN),
            },
        ),
    ]
    text = "\n".join(lines) + "\n"
    if args.split == "test":
        keep("parsing_quality", [text])
    else:
        print(text)


if __name__ == "__main__":
    main()
