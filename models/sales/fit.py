"""Fits a regressor: splits the sales, boosts quantiles, and calibrates the intervals."""

# ruff: noqa: PLC0415 - xgboost is imported with the first fit, not with this module

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.devices import select_boosting_device
from models.embedder.lexicon import Lexicon
from models.progress import Progress
from models.sales.columns import Floats, Sales, Texts
from models.sales.conformal import calibrate
from models.sales.features import fit_features
from models.sales.regressor import (
    COVERAGE,
    QUANTILES,
    Novelty,
    Regressor,
    RegressorConfig,
    quantiles,
)
from models.sales.ridge import FOLDS
from models.sales.score_scale import ScoreScale

ROUNDS, DEPTH, LEARNING_RATE = 100, 3, 0.05
TEST_SHARE, CALIBRATION_SHARE = 0.15, 0.25
LEAST_PRODUCTS = 80
"""With this many products the calibration part is large enough for intervals of 90 %."""
USUAL_SHARE = 0.99
ROUNDS_MESSAGE = "rounds of trees"


@dataclass(frozen=True)
class Parts:
    """Sales split by product: for the fit, the calibration and the test."""

    fit: Sales
    calibration: Sales
    test: Sales


def split(sales: Sales) -> Parts:
    """Splits by the order of the products' hashes: test, calibration, fit.

    So two versions of one merchant can be compared on the test part: if less than a third of the
    products changes between them, neither version was fitted on test products of the other one.
    """
    keys = np.unique(sales.key)
    order = np.argsort([hashlib.sha256(str(key).encode()).hexdigest() for key in keys])
    place = np.empty(len(keys), dtype=np.int64)
    place[order] = np.arange(len(keys))
    share = (place[np.searchsorted(keys, sales.key)] + 0.5) / len(keys)
    test = share < TEST_SHARE
    fit = share >= TEST_SHARE + CALIBRATION_SHARE
    return Parts(sales.take(fit), sales.take(~test & ~fit), sales.take(test))


def fit_regressor(
    version: str, embedder_version: str, parts: Parts, lexicon: Lexicon,
    config: RegressorConfig = RegressorConfig(), progress: Progress | None = None,  # noqa: B008
) -> Regressor:  # fmt: skip
    """A regressor of the `fit` part, calibrated on one row of each product of `calibration`."""
    fold = _folds(parts.fit.key)
    features, columns, level = fit_features(parts.fit, lexicon, fold)
    booster = _boost(columns, parts.fit.log_units - level, config, progress)
    calibration = _one_row_per_product(parts.calibration)
    columns, level, nearest = features.columns(calibration.offers)
    low, _, high = quantiles(booster, columns, level).T
    category = calibration.offers.category
    correction = calibrate(low, high, calibration.log_units, category, COVERAGE)
    scale = ScoreScale.of(parts.fit.log_units, parts.fit.offers.category)
    novelty = _learn_novelty(nearest.distance, scale)
    return Regressor(version, embedder_version, features, booster, correction, novelty, scale)


def _boost(
    columns: NDArray[np.float32],
    target: Floats,
    config: RegressorConfig,
    progress: Progress | None,
) -> Any:
    """Boosted quantiles of the linear model's residuals, all three in one booster."""
    import xgboost

    class ReportRounds(xgboost.callback.TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            if progress is not None:
                progress(epoch + 1, ROUNDS, ROUNDS_MESSAGE)
            return False

    parameters = {
        "objective": "reg:quantileerror",
        "quantile_alpha": list(QUANTILES),
        "tree_method": "hist",
        "max_depth": DEPTH,
        "eta": LEARNING_RATE,
        "min_child_weight": float(np.clip(len(target) / 100, 5, 40)),
        "subsample": 0.7,
        "colsample_bytree": 0.5,
        "seed": 0,
        "nthread": config.threads,
        "device": select_boosting_device(config.device),
        "verbosity": 0,
    }
    matrix = xgboost.QuantileDMatrix(columns, target, nthread=config.threads)
    return xgboost.train(parameters, matrix, ROUNDS, callbacks=[ReportRounds()])


def _folds(keys: Texts) -> NDArray[np.int64]:
    """(n,) in [0, FOLDS); all rows of a product have the same fold."""
    distinct = np.unique(keys)
    of_key = np.random.default_rng(0).permutation(len(distinct)) % FOLDS
    return np.asarray(of_key[np.searchsorted(distinct, keys)])


def _one_row_per_product(sales: Sales) -> Sales:
    """One random row of each product.

    Conformal calibration needs rows that are exchangeable with the row of a new product. Rows of
    the same product are similar to each other, so only one of them may be used.
    """
    shuffled = sales.take(np.random.default_rng(0).permutation(len(sales)))
    return shuffled.take(np.unique(shuffled.key, return_index=True)[1])


def _learn_novelty(distance: Floats, scale: ScoreScale) -> Novelty:
    ends = {
        word: (float(percentiles[5]), float(percentiles[95]))
        for word, percentiles in scale.percentile.items()
    }
    return Novelty(
        usual=float(np.quantile(distance, USUAL_SHARE)),
        low={word: low for word, (low, _) in ends.items()},
        high={word: high for word, (_, high) in ends.items()},
    )
