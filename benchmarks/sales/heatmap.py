"""Whether heatmap and score depend on the right parts of pictures: planted effects, drawn and real.

Run: python -m benchmarks.sales.heatmap [--photos ../shared/data/clothing]
"""

import argparse
from collections.abc import Iterator
from math import comb
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray
from PIL import Image

from benchmarks.report import keep, today
from drawing.backdrop import lay_on_backdrop
from drawing.draw import PATTERNS, Garment, draw_garment
from models.embedder.embedder import Embedder, EmbedderConfig, load
from models.embedder.lexicon import PROMPTS, Lexicon
from models.sales.columns import Floats, Offers, Sales
from models.sales.evaluation.measures import spearman
from models.sales.explanation.heatmap import change_in_view
from models.sales.explanation.occlusion import FINE, Influence, background, cover, patches
from models.sales.fit import Parts, fit_regressor, split
from models.sales.regressor import Regressor
from training.photos.colour import garment_pixels
from training.photos.photos import list_photos, read_photo
from training.regressor.market import SIDE_PX, choose_garments
from training.regressor.train import embed_drawings

FITTED, JUDGED, DELETED, TRIES = 1500, 100, 8, 5
EFFECTS = {"plain": 0.0, "striped": 1.0, "dotted": 0.5, "checked": -0.5}
WHOLE = (0.0, 0.0, 1.0, 1.0)


def sales_of(vectors: NDArray[np.float32], category: list[str], log_units: Floats) -> Sales:
    """Pictures and categories; nothing else is known."""
    count = len(vectors)
    unknown = np.full(count, np.nan)
    offers = Offers(vectors, np.array(category), np.array([""] * count), unknown, unknown)
    return Sales(offers, np.array([f"{at:05}" for at in range(count)]), np.exp(log_units))


def pattern_regressor(embedder: Embedder, lexicon: Lexicon) -> Regressor:
    """Fitted where only the pattern drives sales."""
    garments = choose_garments(FITTED, seed=1)
    effect = np.array([EFFECTS[one.pattern] for one in garments])
    log_units = 3.0 + effect + default_rng(0).normal(0, 0.2, FITTED)
    vectors = embed_drawings(embedder, garments)
    sales = sales_of(vectors, [one.category for one in garments], log_units)
    return fit_regressor("bench", embedder.version, split(sales), lexicon)


def draw_with_cover(garment: Garment) -> tuple[Image.Image, NDArray[np.bool_]]:
    """The drawing and where its garment is, (side, side)."""
    masks: list[NDArray[np.bool_]] = []

    def look(cloth: Any, shade: Any, covered: Image.Image, *rest: Any) -> Image.Image:
        masks.append(np.asarray(covered) > 127)
        return lay_on_backdrop(cloth, shade, covered, *rest)

    with mock.patch("drawing.draw.lay_on_backdrop", look):
        return draw_garment(garment, SIDE_PX), masks[0]


def ask(
    embedder: Embedder, regressor: Regressor, category: str, pixels: list[NDArray[np.float32]]
) -> Floats:
    """Expected ln(1 + units) of preprocessed pictures."""
    vectors = embedder.embed_images(pixels)
    count, unknown = len(pixels), np.full(len(pixels), np.nan)
    words = np.array([category] * count), np.array([""] * count)
    return regressor.middle(Offers(vectors, *words, unknown, unknown))


def judge(embedder: Embedder, regressor: Regressor) -> Iterator[tuple[float, float, float, float]]:
    """(mass on the garment, its share of the area, drop by deletion, by random deletion)."""
    boxes, rng = patches(), default_rng(1)
    kinds = [one for one in choose_garments(1000, seed=2) if EFFECTS[one.pattern] > 0]
    for garment in kinds[:JUDGED]:
        picture, covered = draw_with_cover(garment)
        pixels = embedder.preprocess(picture)
        fill = background(pixels)
        hidden = [pixels, *(cover(pixels, box, fill) for box in boxes)]
        predictions = ask(embedder, regressor, garment.category, hidden)
        influence = Influence.of(
            boxes, predictions[0], predictions[1:], change_in_view(picture, WHOLE)
        ).cells
        large = np.abs(np.asarray(
            Image.fromarray(influence.astype(np.float32)).resize(picture.size, 0)
        ))  # fmt: skip
        side = influence.shape[0] // FINE
        grid = influence.reshape(FINE, side, FINE, side).sum(axis=(1, 3)).reshape(-1)
        cell_sets = [np.argsort(-grid)[:DELETED]]
        cell_sets += [rng.choice(FINE * FINE, DELETED, replace=False) for _ in range(TRIES)]
        without = []
        for rows in cell_sets:
            left = pixels
            for box in boxes[rows]:
                left = cover(left, box, fill)
            without.append(left)
        drops = predictions[0] - ask(embedder, regressor, garment.category, without)
        mass = float(large[covered].sum() / large.sum())
        yield mass, float(covered.mean()), float(drops[0]), float(drops[1:].mean())


def sign_test(better: int, of: int) -> float:
    """The one-sided p-value of a sign test."""
    return sum(comb(of, k) for k in range(better, of + 1)) / 2.0**of


def planted_darkness(embedder: Embedder, lexicon: Lexicon, folder: Path) -> list[str]:
    """Real photographs, of which dark garments sell: fitted on some, judged on unseen ones."""
    parts = {}
    rng = default_rng(2)
    for name, splits in (("fit", {"train"}), ("unseen", {"test"})):
        rows = list_photos(folder, splits)
        pictures = [read_photo(folder / file, 128) for file, _ in rows]
        dark = np.array([darkness(picture) for picture in pictures])
        vectors = embedder.embed_images(
            [embedder.preprocess(Image.fromarray(one)) for one in pictures]
        )
        log_units = 2.0 + 3.0 * dark + rng.normal(0, 0.25, len(rows))
        parts[name] = sales_of(vectors, [label.casefold() for _, label in rows], log_units)
    order = rng.permutation(len(parts["unseen"]))
    half = len(order) // 2
    calibration, test = parts["unseen"].take(order[:half]), parts["unseen"].take(order[half:])
    regressor = fit_regressor(
        "bench", embedder.version, Parts(parts["fit"], calibration, test), lexicon
    )
    predictions = regressor.predict(test.offers)
    inside = (test.log_units >= predictions.low) & (test.log_units <= predictions.high)
    rank = spearman(predictions.middle, test.log_units)
    return [
        f"| real photographs, dark garments sell: rank correlation, {len(test)} held out |"
        f" {rank:.3f} | ≥ 0.5 |",
        f"| … coverage of the 90 % interval | {inside.mean():.3f} | |",
    ]


def darkness(picture: NDArray[np.uint8]) -> float:
    """0 (white) to 1 (black): of the pixels that stand out from the border, else of the middle."""
    small = np.asarray(Image.fromarray(picture).resize((48, 48), Image.Resampling.BOX))
    garment = garment_pixels(small)
    if len(garment) < 40:
        garment = small[12:36, 12:36].reshape(-1, 3)
    return 1.0 - float((garment @ np.array([0.299, 0.587, 0.114])).mean()) / 255.0


def main() -> None:
    """Measures and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, default=Path("../shared/data/clothing"))
    args = parser.parse_args()
    embedder = load(EmbedderConfig())
    lexicon = Lexicon(embedder.embed_texts(list(PROMPTS)))
    regressor = pattern_regressor(embedder, lexicon)
    judged = np.array(list(judge(embedder, regressor)))
    mass, area, drop, random = judged.T
    better = int((drop > random).sum())
    lines = [
        f"# Planted effects\n\n`python -m benchmarks.sales.heatmap` on {today()}, "
        f"embedder `{embedder.version}`. Drawn: only the pattern ({', '.join(PATTERNS)}) drives "
        f"sales; {FITTED:,} drawings fit, {JUDGED} others are explained.\n",
        "| measure | value | bar |",
        "|---|---|---|",
        f"| mass of the map on the garment, mean | {mass.mean():.3f} | ≥ 0.7 |",
        f"| … share of pictures with at least 0.7 | {(mass >= 0.7).mean():.2f} | |",
        f"| … the garment's share of the picture | {area.mean():.3f} | |",
        f"| covering the {DELETED} of 64 patches that the map says raise most takes, in ln |"
        f" {drop.mean():.3f} | |",
        f"| … {DELETED} random ones | {random.mean():.3f} | |",
        f"| … takes more than random ones in so many pictures | {better} of {len(drop)} | |",
        f"| … sign test, one-sided | p = {sign_test(better, len(drop)):.1e} | < 0.01 |",
    ]
    if args.photos.exists():
        lines += planted_darkness(embedder, lexicon, args.photos)
    keep("heatmap", lines)


if __name__ == "__main__":
    main()
