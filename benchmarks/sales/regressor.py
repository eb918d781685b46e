"""The regressor on the synthetic market, 20 seeds: coverage, width, error beside baselines.

Run: python -m benchmarks.sales.regressor [--vectors FILE.npz]

The file keeps the drawings' vectors for later runs.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import keep, today
from drawing.draw import CATEGORIES, Garment
from models.embedder.embedder import EmbedderConfig, load
from models.embedder.lexicon import PROMPTS, Lexicon
from models.sales.columns import Floats
from models.sales.conformal import finite_quantile
from models.sales.evaluation.measures import category_means, image_neighbours
from models.sales.fit import Parts, fit_regressor
from training.regressor.market import Market, choose_garments, sell
from training.regressor.train import embed_drawings, to_sales

COUNT, FIT, CALIBRATION, SEEDS = 8000, 4000, 2000, 20


@dataclass(frozen=True)
class Drawn:
    """Drawings that no model was trained on, their vectors, and the words' vectors."""

    garments: list[Garment]
    vectors: NDArray[np.float32]
    lexicon: Lexicon
    embedder: str


def draw(vectors_file: Path | None, workers: int) -> Drawn:
    """The drawings' vectors; from the file where it holds them already."""
    garments = choose_garments(COUNT)
    embedder = load(EmbedderConfig())
    lexicon = Lexicon(embedder.embed_texts(list(PROMPTS)))
    if vectors_file is not None and vectors_file.exists():
        with np.load(vectors_file) as file:
            if str(file["embedder"]) == embedder.version:
                return Drawn(garments, file["vectors"], lexicon, embedder.version)
    vectors = embed_drawings(embedder, garments, workers)
    if vectors_file is not None:
        np.savez(vectors_file, vectors=vectors, embedder=embedder.version)
    return Drawn(garments, vectors, lexicon, embedder.version)


def measure(drawn: Drawn, seed: int) -> dict[str, float]:
    """One market, one split, one fit."""
    sold = sell(Market.draw(seed), drawn.garments, seed)
    names = [f"drawn-{at:05}" for at in range(COUNT)]
    sales = to_sales(drawn.vectors, drawn.garments, sold, names)
    order = np.random.default_rng([seed, 9]).permutation(COUNT)
    fit, calibration = order[:FIT], order[FIT : FIT + CALIBRATION]
    test = order[FIT + CALIBRATION :]
    parts = Parts(sales.take(fit), sales.take(calibration), sales.take(test))
    regressor = fit_regressor("bench", drawn.embedder, parts, drawn.lexicon)
    predictions = regressor.predict(parts.test.offers, parts.test.key)
    actual, category = parts.test.log_units, parts.test.offers.category
    truth = np.log1p(np.exp(sold.expected[test]))
    inside = (actual >= predictions.low) & (actual <= predictions.high)
    checked = regressor.predict(parts.calibration.offers, parts.calibration.key)
    constant = finite_quantile(np.abs(parts.calibration.log_units - checked.middle), 0.9)

    def score(values: Floats) -> Floats:
        return regressor.scale.score(values, category)

    def error(values: Floats) -> float:
        return float(np.abs(score(values) - score(actual)).mean())

    noise = sold.noise[test]
    figures = {
        "coverage": float(inside.mean()),
        "width": float((predictions.high - predictions.low).mean()),
        "constant": 2 * constant,
        "width_score": float((score(predictions.high) - score(predictions.low)).mean()),
        "constant_score": float(
            (score(predictions.middle + constant) - score(predictions.middle - constant)).mean()
        ),
        "oracle": float(2 * 1.6449 * noise.mean()),
        "oracle_constant": 2 * finite_quantile(np.abs(actual - truth), 0.9),
        "mae": error(predictions.middle),
        "mae_truth": error(truth),
        "mae_category": error(category_means(parts.fit, parts.test)),
        "mae_image": error(image_neighbours(parts.fit, parts.test)),
        "log_mae": float(np.abs(actual - predictions.middle).mean()),
        "log_mae_truth": float(np.abs(actual - truth).mean()),
        "log_mae_category": float(np.abs(actual - category_means(parts.fit, parts.test)).mean()),
        "r2": r2(score(actual), score(predictions.middle)),
        "r2_truth": r2(score(actual), score(truth)),
        "log_r2": r2(actual, predictions.middle),
        "log_r2_truth": r2(actual, truth),
    }
    return figures | {f"in_{one}": float(inside[category == one].mean()) for one in CATEGORIES}


def r2(actual: Floats, predictions: Floats) -> float:
    """Coefficient of determination."""
    return 1 - float(((actual - predictions) ** 2).sum() / ((actual - actual.mean()) ** 2).sum())


def table(rows: list[dict[str, float]], embedder: str, seeds: int) -> str:
    """Means over the seeds, with the smallest and largest seed."""
    column = {name: np.array([row[name] for row in rows]) for name in rows[0]}

    def line(name: str, values: Floats, bar: str = "") -> str:
        return f"| {name} | {values.mean():.3f} | {values.min():.3f} | {values.max():.3f} | {bar} |"

    lines = [
        f"# The regressor on the synthetic market\n\n`python -m benchmarks.sales.regressor`"
        f" on {today()}, embedder `{embedder}`. {seeds} seeds; each draws its own"
        f" market, prices, days, noise and split of the same {COUNT:,} drawings, which neither the"
        f" embedder nor a regressor was trained on: {FIT:,} fit, {CALIBRATION:,} calibrate,"
        f" {COUNT - FIT - CALIBRATION:,} are held out and judge.\n",
        "| held out | mean | least seed | largest seed | bar for the mean |",
        "|---|---|---|---|---|",
        line("coverage of the 90 % interval", column["coverage"], "0.88 to 0.92"),
        *(line(f"… {one}", column[f"in_{one}"], "≥ 0.88") for one in CATEGORIES),
        line("width, ln(1 + units)", column["width"]),
        line("… constant-width split conformal, same model", column["constant"]),
        line("… narrower by", 1 - column["width"] / column["constant"], "≥ 0.15"),
        line("… an oracle is narrower by", 1 - column["oracle"] / column["oracle_constant"]),
        line("width on the score", column["width_score"]),
        line("… narrower than constant by", 1 - column["width_score"] / column["constant_score"]),
        line("MAE on the score", column["mae"]),
        line("… of the truth itself", column["mae_truth"]),
        line("… of the category's mean", column["mae_category"]),
        line("… of image kNN", column["mae_image"]),
        line("… relative to the category's mean", column["mae"] / column["mae_category"], "≤ 0.6"),
        line("… relative to image kNN", column["mae"] / column["mae_image"], "< 1"),
        line("MAE in logs relative to the category's mean",
             column["log_mae"] / column["log_mae_category"]),
        line("… of the truth itself", column["log_mae_truth"] / column["log_mae_category"]),
        line("R² on the score", column["r2"]),
        line("… short of what noise allows by", column["r2_truth"] - column["r2"], "≤ 0.1"),
        line("R² in logs", column["log_r2"]),
        line("… short of what noise allows by", column["log_r2_truth"] - column["log_r2"], "≤ 0.1"),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def main() -> None:
    """Draws once, fits once a seed, writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    args = parser.parse_args()
    drawn = draw(args.vectors, args.workers)
    rows = []
    for seed in range(args.seeds):
        rows.append(measure(drawn, seed))
        print(seed, {name: round(value, 3) for name, value in rows[-1].items()}, file=sys.stderr)
    text = table(rows, drawn.embedder, args.seeds)
    keep("regressor", [text])


if __name__ == "__main__":
    main()
