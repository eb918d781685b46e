"""The regressor: honest bounds, neighbours without themselves, files that give it back."""

import numpy as np
import pytest

from models.embedder.lexicon import GROUPS, Lexicon
from models.sales.columns import Offers, Sales
from models.sales.conformal import calibrate, finite_quantile
from models.sales.evaluation.baselines import day_by_day
from models.sales.evaluation.measures import measure, ranks, spearman
from models.sales.evaluation.report import report_on
from models.sales.files import (
    MODEL,
    manifest_of,
    read_regressor,
    read_starter,
    write_regressor,
)
from models.sales.fit import fit_regressor, split
from models.sales.neighbours import find_nearest
from models.sales.regressor import Regressor, RegressorConfig
from models.sales.ridge import FOLDS, fit_ridge
from models.sales.score_scale import ScoreScale

DIM = 12
NO_WORDS = Lexicon(np.zeros((0, DIM), np.float32))


def small_market(count: int, seed: int = 0) -> Sales:
    """The first two numbers of a picture say how much it sells and how much that scatters."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=(count, DIM)).astype(np.float32)
    vectors = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    category = np.array(["dress", "shirt"])[rng.integers(0, 2, count)]
    noise = np.where(vectors[:, 1] > 0, 0.6, 0.1)
    log_units = 3.0 + (category == "dress") + 2.0 * vectors[:, 0] + noise * rng.normal(size=count)
    offers = Offers(
        vectors, category, np.array(["b"] * count), np.full(count, 20.0), rng.uniform(size=count)
    )
    return Sales(offers, np.array([f"{seed}-{at:05}" for at in range(count)]), np.exp(log_units))


@pytest.fixture(scope="module")
def regressor() -> Regressor:
    return fit_regressor("v1", "tiny", split(small_market(2000)), NO_WORDS)


def test_bounds_hold_as_often_as_they_claim_and_are_wide_only_where_needed(
    regressor: Regressor,
) -> None:
    sales = small_market(3000, seed=1)
    forecast = regressor.predict(sales.offers)
    inside = (sales.log_units >= forecast.low) & (sales.log_units <= forecast.high)
    loud = sales.offers.vectors[:, 1] > 0
    assert 0.87 < inside.mean() < 0.94
    for word in ("dress", "shirt"):
        assert inside[sales.offers.category == word].mean() > 0.86
    width = forecast.high - forecast.low
    assert width[loud].mean() > 2 * width[~loud].mean()
    assert (forecast.low <= forecast.middle).all()
    assert (forecast.middle <= forecast.high).all()


def test_it_beats_both_baselines(regressor: Regressor) -> None:
    reference, sales = small_market(1000, seed=2), small_market(1000, seed=3)
    report = report_on(regressor, sales, reference)
    assert report.measures.mae < 0.6 * report.category_mean.mae
    assert report.measures.mae < 0.9 * report.image_knn.mae
    figures = report.figures()
    assert figures["n"] == 1000
    assert figures["baselines"]["image_knn"]["mae"] == round(report.image_knn.mae, 4)


def test_a_picture_unlike_all_others_gets_the_bounds_of_the_whole_category(
    regressor: Regressor,
) -> None:
    usual = small_market(50, seed=4).offers
    sold = regressor.features.sold.vectors
    away = -sold.mean(axis=0)
    strange = np.tile((away / np.linalg.norm(away)).astype(np.float32), (50, 1))
    regressor_far = Regressor(
        "far", "tiny", regressor.features, regressor.booster, regressor.correction,
        type(regressor.novelty)(1e-3, regressor.novelty.low, regressor.novelty.high),
        regressor.scale,
    )  # fmt: skip
    forecast = regressor_far.predict(
        Offers(strange, usual.category, usual.brand, usual.price, usual.phase)
    )
    assert (forecast.novelty == 1).all()
    for at, word in enumerate(forecast.category):
        assert forecast.low[at] <= regressor.novelty.low[word]
        assert forecast.high[at] >= regressor.novelty.high[word]
    assert (regressor.predict(usual).novelty < 1).all()


def test_files_give_the_same_regressor_back(regressor: Regressor) -> None:
    files = write_regressor(regressor)
    again = read_regressor("v1", files, RegressorConfig())
    offers = small_market(200, seed=5).offers
    assert np.abs(again.predict(offers).middle - regressor.predict(offers).middle).max() < 0.02
    assert write_regressor(again) == files
    assert set(manifest_of(files)) == {"arrays.npz", "model.json", "trees.ubj"}
    with pytest.raises(ValueError, match="another studio version"):
        read_regressor("v1", files | {MODEL: b'{"form": 0}'}, RegressorConfig())


def test_one_alone_is_answered_as_among_many(regressor: Regressor) -> None:
    offers = small_market(64, seed=6).offers
    together = regressor.predict(offers)
    for at in (0, 17, 63):
        alone = regressor.predict(offers.take(np.array([at])))
        assert alone.middle[0] == pytest.approx(together.middle[at], abs=1e-5)
        assert alone.high[0] == pytest.approx(together.high[at], abs=1e-5)


def test_a_product_is_not_its_own_neighbour(regressor: Regressor) -> None:
    sold = regressor.features.sold
    offers = Offers(
        sold.vectors[:5], sold.category[:5], np.array([""] * 5), np.full(5, np.nan),
        np.full(5, np.nan),
    )  # fmt: skip
    with_itself = regressor.predict(offers)
    without = regressor.predict(offers, sold.key[:5])
    assert (with_itself.nearest.row[:, 0] == np.arange(5)).all()
    assert not (without.nearest.row == np.arange(5)[:, None]).any()


def test_an_unsaid_category_is_that_of_the_neighbours(regressor: Regressor) -> None:
    sold = regressor.features.sold
    unsaid = Offers(
        sold.vectors[:40], np.array([""] * 40), np.array([""] * 40), np.full(40, np.nan),
        np.full(40, np.nan),
    )  # fmt: skip
    assert set(regressor.predict(unsaid).category) <= {"dress", "shirt"}


def test_parts_share_no_product_and_stay_where_they_were() -> None:
    sales = small_market(400)
    before, after = split(sales), split(small_market(400).take(np.arange(360)))
    parts = [set(part.key) for part in (before.fit, before.calibration, before.test)]
    assert sum(len(part) for part in parts) == 400
    assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]
    assert not set(after.test.key) & parts[0]
    repeated = sales.take(np.repeat(np.arange(400), 3))
    assert set(split(repeated).test.key) == parts[2]


def test_finite_sample_quantile_and_mondrian_corrections() -> None:
    assert finite_quantile(np.arange(1.0, 20.0), 0.9) == 18.0
    assert finite_quantile(np.arange(5.0), 0.9) == 4.0
    rng = np.random.default_rng(0)
    category = np.array(["quiet", "loud"])[rng.integers(0, 2, 1000)]
    actual = rng.normal(size=1000) * np.where(category == "loud", 3.0, 1.0)
    zero = np.zeros(1000)
    correction = calibrate(zero - 1, zero + 1, actual, category, 0.9)
    assert correction.distance["loud"] > correction.distance[""] > correction.distance["quiet"]
    low, high = correction.apply(zero, zero - 0.5, category)
    assert (low <= high).all()


def test_ridge_weighs_lines_and_tells_folds_apart() -> None:
    rng = np.random.default_rng(0)
    design = rng.normal(size=(500, 4)).astype(np.float32)
    fold = np.arange(500) % FOLDS
    first = design[:, 0].astype(np.float64)
    target = first * 2.0 + 1.0 + np.where(np.arange(500) < 250, 0.0, 5.0)
    ridge, predicted = fit_ridge(design, target, fold, np.where(np.arange(500) < 250, 1.0, 1e-9))
    assert ridge.weights[0] == pytest.approx(2.0, abs=0.05)
    assert ridge.offset == pytest.approx(1.0, abs=0.05)
    assert np.abs(predicted[:250] - target[:250]).max() < 0.2


def test_the_score_never_falls_where_units_rise_and_ends_at_0_and_100() -> None:
    scale = ScoreScale.of(np.log1p(np.arange(200.0) % 7), np.array(["a", "b"] * 100))
    units = np.linspace(0, 50, 300)
    scores = scale.score(np.log1p(units), np.array(["a"] * 300))
    assert (np.diff(scores) >= 0).all()
    assert (scores.min(), scores.max()) == (pytest.approx(0, abs=20), 100.0)
    assert scale.score(np.array([-1.0]), np.array(["unheard of"]))[0] == 0.0


def test_words_are_shares_of_each_group() -> None:
    count = sum(len(group) for group in GROUPS)
    prompts = np.eye(count, dtype=np.float32)
    read = Lexicon(prompts).read(prompts)
    assert (read.argmax(axis=1) == np.arange(count)).mean() > 0.9
    assert np.allclose(read[:, : len(GROUPS[0])].sum(axis=1), 1.0)
    assert Lexicon(np.zeros((0, count), np.float32)).read(prompts).shape == (count, 0)


def test_measures_against_known_values() -> None:
    actual, predicted = np.array([0.0, 50.0, 100.0]), np.array([10.0, 50.0, 90.0])
    measures = measure(actual, predicted, np.array([1.0, 2.0, 5.0]), np.array([2.0, 2.0, 4.0]))
    assert measures.mae == pytest.approx(20 / 3)
    assert measures.r2 == pytest.approx(1 - 200 / 5000)
    assert measures.spearman == pytest.approx(1.0)
    assert measures.wape == pytest.approx(2 / 8)
    assert list(ranks(np.array([3.0, 1.0, 3.0]))) == [1.5, 0.0, 1.5]
    assert spearman(np.array([1.0, 1.0]), np.array([1.0, 2.0])) is None
    flat = measure(np.zeros(2), np.zeros(2), np.zeros(2), np.zeros(2))
    assert (flat.r2, flat.wape) == (None, None)


def test_baselines_know_nothing_of_later_days(regressor: Regressor) -> None:
    sales = small_market(60, seed=7)
    days = np.arange(60)
    sold = regressor.features.sold
    by_category, by_image = day_by_day(sales, days, sold)
    changed = Sales(sales.offers, sales.key, np.where(days >= 30, 1e6, sales.units))
    again = day_by_day(changed, days, sold)
    assert (again[0][:31] == by_category[:31]).all()
    assert (again[1][:31] == by_image[:31]).all()
    assert again[0][59] > by_category[59] + 3
    assert np.isfinite(by_category).all() and np.isfinite(by_image).all()
    undated, _ = day_by_day(sales, np.full(60, -1), sold)
    first = sales.offers.category == sales.offers.category[0]
    others = sales.log_units[first & (np.arange(60) > 0)]
    assert undated[0] == pytest.approx(others.mean())


def test_nearest_is_exact() -> None:
    vectors = small_market(300).offers.vectors
    nearest = find_nearest(vectors[:20], vectors, np.arange(20), k=5)
    for at in range(20):
        cosine = vectors @ vectors[at]
        cosine[at] = -2
        assert set(nearest.row[at]) == set(np.argsort(-cosine)[:5])


def test_the_starter_is_whole_and_made_for_the_starter_embedder() -> None:
    starter = read_starter(RegressorConfig())
    starter.check()
    assert starter.version.startswith("starter-")
    assert starter.embedder_version.startswith("starter-")
