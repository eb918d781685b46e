"""How good try-ons of drawn, held-out people are: SSIM inside the mask beside a plain paste.

    python -m benchmarks.tryon.quality [--count 60] [--first 0] [--truth] [--flow FOLDER|off]

Each person is drawn twice, in their own clothes and in another garment (the truth); the garment is
drawn flat. Parse maps are predicted by the starter parser (--truth: given). The plain paste is the
cut-out garment stretched to the box of the clothes that it replaces. The share gained is
(SSIM - paste's) / (1 - paste's).
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.random import default_rng
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from drawing.draw import COLOURS, PATTERNS, Garment, draw_with_cover
from drawing.people.people import DrawnPerson, draw_person
from errors import Invalid
from models.segmenter.atr import CLOTHES, DRESS, LOWER, UPPER, Atr, mask_of
from models.segmenter.parser import Parser, ParserConfig, load
from models.segmenter.shapes import Category
from models.tryon.composite import compose
from models.tryon.outline import bounds
from models.tryon.repaint import repaint
from models.tryon.warping.flow import FlowModel
from models.tryon.warping.flow_network import load_flow
from models.tryon.warping.splines import FOLDED

SEED = 9_000_000
"""Far from every seed of the recipes."""
SIZE = (384, 288)
KINDS: dict[Category, frozenset[Atr]] = {
    "upper": UPPER | DRESS, "lower": LOWER, "dress": CLOTHES,
}  # fmt: skip
CATEGORIES: dict[Category, tuple[str, ...]] = {
    "upper": ("t-shirt", "shirt", "jacket"),
    "lower": ("trousers", "shorts", "skirt"),
    "dress": ("dress",),
}


def main() -> None:
    """Prints one row a category, and how often a warp would have torn."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--count", type=int, default=60, help="people a category")
    options.add_argument("--first", type=int, default=0, help="the first person's number")
    options.add_argument("--truth", action="store_true", help="parse maps given, not predicted")
    options.add_argument("--flow", help="a folder of the flow's weights, or off; default: starter")
    args = options.parse_args()
    torch.set_num_threads(1)
    flow = None
    if args.flow != "off":
        flow = load_flow(Path(args.flow)) if args.flow else load_flow()
    parser = None if args.truth else load(ParserConfig(max_batch=1))
    print("| category | people | paste | try-on | share gained | folded first | affine | torn |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for kind in CATEGORIES:
        people = range(args.first, args.first + args.count)
        measured = [measure(kind, at, parser, flow) for at in people]
        rows = [row for row in measured if row is not None]
        paste, ours = (float(np.mean([row[name] for row in rows])) for name in ("paste", "ours"))
        folded, affine, torn = (
            sum(row[name] for row in rows) for name in ("folded", "affine", "torn")
        )
        gain = (ours - paste) / (1 - paste)
        print(f"| {kind} | {len(rows)} | {paste:.3f} | {ours:.3f} | {gain:+.1%} | {folded:.0f} "
              f"| {affine:.0f} | {torn:.0f} |", flush=True)  # fmt: skip


def choose_pair(kind: Category, at: int) -> tuple[DrawnPerson, DrawnPerson, Garment]:
    """A person in own clothes of the kind, the same one in another garment, and that garment."""
    rng = default_rng([SEED, at, len(kind)])

    def garment() -> Garment:
        return Garment(
            str(rng.choice(CATEGORIES[kind])), str(rng.choice(COLOURS)), str(rng.choice(PATTERNS)),
            int(rng.integers(1 << 30)),
        )  # fmt: skip

    seed = SEED + at
    other = Garment("trousers", "navy", "plain", at)
    beside = [other] if kind == "upper" else []
    before, target = garment(), garment()
    worn = draw_person(seed, [before, *beside], SIZE)
    return worn, draw_person(seed, [target, *beside], SIZE), target


def measure(
    kind: Category, at: int, parser: Parser | None, flow: FlowModel | None
) -> dict[str, float] | None:
    """SSIM of a paste and of a try-on against the truth, where the clothes of either are; None
    where the person is refused.
    """
    worn, truth, garment = choose_pair(kind, at)
    person, target = np.asarray(worn.image), np.asarray(truth.image)
    picture, cover = draw_with_cover(garment, 256, SEED + at)
    cloth, cut = np.asarray(picture), np.asarray(cover) > 127
    labels = worn.parse if parser is None else parser.parse(person).labels
    try:
        composite = compose(person, labels, cloth, cut, kind, flow)
    except Invalid as refused:
        print(f"{kind} {at}: {refused.detail}")
        return None
    result = np.asarray(
        repaint(worn.image, composite.picture, composite.share, composite.protected)
    )
    zone = mask_of(worn.parse, KINDS[kind]) | mask_of(truth.parse, KINDS[kind])
    pasted = paste(person, cloth, cut, mask_of(labels, KINDS[kind]))
    return {
        "paste": float(ssim(pasted, target)[zone].mean()),
        "ours": float(ssim(result, target)[zone].mean()),
        "folded": float(composite.garment.folds > FOLDED),
        "affine": float(composite.garment.affine),
        "torn": float(composite.garment.torn > FOLDED),
    }


def paste(
    person: NDArray[np.uint8], cloth: NDArray[np.uint8], cut: NDArray[np.bool_],
    old: NDArray[np.bool_],
) -> NDArray[np.uint8]:  # fmt: skip
    """The cut-out stretched to the box of the old clothes."""
    if not old.any():
        return person
    x0, y0, x1, y1 = bounds(cut)
    left, top, right, bottom = bounds(old)
    size = (right - left + 1, bottom - top + 1)
    piece = Image.fromarray(cloth).resize(size, box=(x0, y0, x1 + 1, y1 + 1))
    mask = Image.fromarray(cut.astype(np.uint8) * 255).resize(size, box=(x0, y0, x1 + 1, y1 + 1))
    result = Image.fromarray(person)
    result.paste(piece, (left, top), mask)
    return np.asarray(result)


def ssim(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Structural similarity of every pixel, grey, Gaussian window of 1.5 (Wang et al. 2004)."""
    a, b = (picture @ np.array([0.299, 0.587, 0.114]) for picture in (first, second))

    def blur(plane: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(ndimage.gaussian_filter(plane, 1.5, truncate=3.5))

    mean_a, mean_b = blur(a), blur(b)
    spread_a, spread_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    both = blur(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    top = (2 * mean_a * mean_b + c1) * (2 * both + c2)
    return np.asarray(top / ((mean_a**2 + mean_b**2 + c1) * (spread_a + spread_b + c2)))


if __name__ == "__main__":
    main()
