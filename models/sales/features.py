"""The features of an offer: picture, category, brand, price, season and sold neighbours."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.embedder.lexicon import Lexicon
from models.sales.columns import Floats, Offers, Sales, Texts, most_frequent, one_hot
from models.sales.neighbours import Nearest, find_nearest, neighbour_features
from models.sales.ridge import Ridge, fit_ridge

Matrix = NDArray[np.float32]
COMPONENTS, MOST_CATEGORIES, MOST_BRANDS = 16, 64, 64
WORD_SCALE = np.float32(3.0)  # weight of the zero-shot words beside the picture's own columns
LEAST_ERROR = 0.05  # added to absolute errors, so that their logarithm is bounded


@dataclass(frozen=True)
class SalesVocabulary:
    """The words that have a column, and the usual prices.

    price: the median of ln(price) by category, and of all offers under "".
    """

    categories: list[str]
    brands: list[str]
    price: dict[str, float]

    @classmethod
    def of(cls, offers: Offers) -> "SalesVocabulary":
        """The frequent words of these offers."""
        categories = most_frequent(offers.category, MOST_CATEGORIES)
        priced = np.isfinite(offers.price)
        price = {"": float(np.median(np.log(offers.price[priced]))) if priced.any() else 0.0}
        for word in categories:
            rows = priced & (offers.category == word)
            if rows.any():
                price[word] = float(np.median(np.log(offers.price[rows])))
        return cls(categories, most_frequent(offers.brand, MOST_BRANDS), price)

    def columns(self, offers: Offers) -> tuple[Matrix, Matrix]:
        """The linear models' columns (n, p) and the trees' columns (n, q).

        The linear ones hold a season for every category. An unknown price counts as the usual one,
        an unknown day as no season.
        """
        category = one_hot(offers.category, self.categories)
        usual = np.array([self.price.get(str(word), self.price[""]) for word in offers.category])
        price_ratio_log = np.nan_to_num(np.log(offers.price) - usual)
        turn = 2 * np.pi * offers.phase
        season = np.nan_to_num(np.stack([np.sin(turn), np.cos(turn)], axis=1))
        quarter = np.nan_to_num(np.floor(offers.phase * 4), nan=-1.0)
        brand = one_hot(offers.brand, self.brands)
        plain = np.column_stack([price_ratio_log, season, quarter, category, brand]).astype(
            np.float32
        )
        seasons = [category * season[:, [axis]].astype(np.float32) for axis in (0, 1)]
        return np.column_stack([plain, *seasons]).astype(np.float32), plain


@dataclass(frozen=True)
class Sold:
    """m distinct products that were sold, sorted by key.

    vectors: (m, dim) float32; residual, spread: (m,) see `neighbour_features`; units: (m,) mean
    units of a row; category: (m,).
    """

    key: Texts
    vectors: Matrix
    category: Texts
    units: Floats
    residual: Floats
    spread: Floats


@dataclass(frozen=True)
class FeatureExtractor:
    """Turns offers into the trees' columns; fitted once, then constant."""

    vocabulary: SalesVocabulary
    lexicon: Lexicon
    centre: Matrix
    axes: Matrix
    level: Ridge
    log_error: Ridge
    sold: Sold

    def columns(
        self, offers: Offers, own: NDArray[np.int64] | None = None
    ) -> tuple[Matrix, Floats, Nearest]:
        """The trees' columns (n, q), the linear model's prediction (n,), and the neighbours.

        own: (n,) the offer's own row in `sold`, -1 for none.
        """
        design, plain = design_of(self.vocabulary, self.lexicon, self.centre, offers)
        nearest = find_nearest(offers.vectors, self.sold.vectors, own)
        level = self.level.predict(design)
        log_error = self.log_error.predict(design)
        return self.stack(offers, plain, level, log_error, nearest), level, nearest

    def stack(
        self, offers: Offers, plain: Matrix, level: Floats, log_error: Floats, nearest: Nearest
    ) -> Matrix:
        """The columns in the order that the trees expect, (n, q) float32."""
        near = neighbour_features(nearest, self.sold.residual, self.sold.spread)
        shape = (offers.vectors - self.centre) @ self.axes.T
        return np.column_stack([level, log_error, near, shape, plain]).astype(np.float32)


def design_of(
    vocabulary: SalesVocabulary, lexicon: Lexicon, centre: Matrix, offers: Offers
) -> tuple[Matrix, Matrix]:
    """The linear models' columns (n, p) and the trees' columns (n, q).

    The first are the centred picture at unit variance, its zero-shot words and the offer's own
    fields; the second are the zero-shot words and the fields.
    """
    linear, plain = vocabulary.columns(offers)
    words = lexicon.read(offers.vectors)
    scale = np.float32(np.sqrt(offers.vectors.shape[1]))
    design = [(offers.vectors - centre) * scale, WORD_SCALE * words, linear]
    return np.column_stack(design), np.column_stack([words, plain])


def fit_features(
    sales: Sales, lexicon: Lexicon, fold: NDArray[np.int64]
) -> tuple[FeatureExtractor, Matrix, Floats]:
    """The extractor fitted on these sales, and their own columns and linear predictions.

    fold: (n,) in [0, FOLDS). A row's linear predictions come from models without its fold, and its
    neighbours leave its own product out, so that the trees train on columns like those of
    products that were never sold.
    """
    offers, target = sales.offers, sales.log_units
    vocabulary = SalesVocabulary.of(offers)
    centre = offers.vectors.mean(axis=0)
    axes = np.linalg.svd(_sample(offers.vectors) - centre, full_matrices=False)[2][:COMPONENTS]
    design, plain = design_of(vocabulary, lexicon, centre, offers)
    _, predicted = fit_ridge(design, target, fold)
    _, scatter = fit_ridge(design, np.log(np.abs(target - predicted) + LEAST_ERROR), fold)
    level, predicted = fit_ridge(design, target, fold, _weights(scatter))
    error = target - predicted
    log_error, scatter = fit_ridge(design, np.log(np.abs(error) + LEAST_ERROR), fold)
    sold, own = gather_sold(sales, error)
    features = FeatureExtractor(
        vocabulary, lexicon, centre, axes.astype(np.float32), level, log_error, sold
    )
    nearest = find_nearest(offers.vectors, sold.vectors, own)
    return features, features.stack(offers, plain, predicted, scatter, nearest), predicted


def gather_sold(sales: Sales, error: Floats) -> tuple[Sold, NDArray[np.int64]]:
    """The distinct products of the sales rows, and each row's place among them."""
    key, first, own = np.unique(sales.key, return_index=True, return_inverse=True)
    count = np.bincount(own)

    def mean(values: Floats) -> Floats:
        return np.asarray(np.bincount(own, values) / count)

    vectors, category = sales.offers.vectors[first], sales.offers.category[first]
    sold = Sold(key, vectors, category, mean(sales.units), mean(error), mean(np.abs(error)))
    return sold, own.astype(np.int64)


def _weights(scatter: Floats) -> Floats:
    """Inverse variances from predicted log errors (feasible generalised least squares)."""
    weight = np.exp(-2.0 * np.clip(scatter, *np.quantile(scatter, (0.02, 0.98))))
    return np.asarray(weight / weight.mean())


def _sample(vectors: Matrix, most: int = 5000) -> Matrix:
    return vectors[:: max(1, len(vectors) // most)]
