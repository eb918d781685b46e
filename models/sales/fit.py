"""Fits a regressor: three parts of the sales, boosted quantiles, calibration, the held-out test."""

# ruff: noqa: PLC0415 - xgboost comes in with a regressor; the shapes alone stay cheap

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.devices import select_boosting_device
from models.embedder.lexicon import Lexicon
from models.sales.conformal import calibrate
from models.sales.features import FOLDS, learn_reading
from models.sales.regressor import (
    COVERAGE,
    QUANTILES,
    Novelty,
    Regressor,
    RegressorConfig,
    quantiles,
)
from models.sales.sales import Floats, Sales, Texts
from models.sales.score_scale import ScoreScale

ROUNDS, DEPTH, RATE = 100, 3, 0.05
TEST_SHARE, CALIBRATION_SHARE = 0.15, 0.25
LEAST_PRODUCTS = 80
"""From here on the calibration part is large enough for an interval of 90 %."""
USUAL_SHARE = 0.99

Report = Callable[[int, int], None]
"""Called with rounds done and rounds in all; raising ends the fit."""


@dataclass(frozen=True)
class Parts:
    """Sales split by product: what is fitted, what calibrates, what judges."""

    fit: Sales
    calibration: Sales
    test: Sales


def split(sales: Sales) -> Parts:
    """By the order of the products' hashes: test, calibration, fit.

    So a product that judges one version was never fitted by another one of the same merchant, as
    long as no third of the assortment changes between them: they can be compared on it.
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
    config: RegressorConfig = RegressorConfig(), report: Report | None = None,  # noqa: B008
) -> Regressor:  # fmt: skip
    """A regressor of the `fit` part, calibrated on one line a product of the `calibration` part."""
    fold = _folds(parts.fit.key)
    reading, columns, level = learn_reading(parts.fit, lexicon, fold)
    booster = _boost(columns, parts.fit.log_units - level, config, report)
    checked = _one_line_a_product(parts.calibration)
    columns, level, nearest = reading.columns(checked.offers)
    low, _, high = quantiles(booster, columns, level).T
    category = checked.offers.category
    correction = calibrate(low, high, checked.log_units, category, COVERAGE)
    scale = ScoreScale.of(parts.fit.log_units, parts.fit.offers.category)
    novelty = _learn_novelty(nearest.distance, scale)
    return Regressor(version, embedder_version, reading, booster, correction, novelty, scale)


def _boost(
    columns: NDArray[np.float32], target: Floats, config: RegressorConfig, report: Report | None
) -> Any:
    """Boosted quantiles of what the linear model leaves over, all three in one booster."""
    import xgboost

    class Tell(xgboost.callback.TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            if report is not None:
                report(epoch + 1, ROUNDS)
            return False

    parameters = {
        "objective": "reg:quantileerror",
        "quantile_alpha": list(QUANTILES),
        "tree_method": "hist",
        "max_depth": DEPTH,
        "eta": RATE,
        "min_child_weight": float(np.clip(len(target) / 100, 5, 40)),
        "subsample": 0.7,
        "colsample_bytree": 0.5,
        "seed": 0,
        "nthread": config.threads,
        "device": select_boosting_device(config.device),
        "verbosity": 0,
    }
    matrix = xgboost.QuantileDMatrix(columns, target, nthread=config.threads)
    return xgboost.train(parameters, matrix, ROUNDS, callbacks=[Tell()])


def _folds(keys: Texts) -> NDArray[np.int64]:
    """(n,) in [0, FOLDS); lines of one product share one."""
    distinct = np.unique(keys)
    of_key = np.random.default_rng(0).permutation(len(distinct)) % FOLDS
    return np.asarray(of_key[np.searchsorted(distinct, keys)])


def _one_line_a_product(sales: Sales) -> Sales:
    """Lines of one product are alike; what is exchangeable with a new product is a product."""
    shuffled = sales.take(np.random.default_rng(0).permutation(len(sales)))
    return shuffled.take(np.unique(shuffled.key, return_index=True)[1])


def _learn_novelty(distance: Floats, scale: ScoreScale) -> Novelty:
    ends = {word: (float(at[5]), float(at[95])) for word, at in scale.percentile.items()}
    return Novelty(
        usual=float(np.quantile(distance, USUAL_SHARE)),
        low={word: low for word, (low, _) in ends.items()},
        high={word: high for word, (_, high) in ends.items()},
    )


__all__ = ["LEAST_PRODUCTS", "Parts", "fit_regressor", "split"]
