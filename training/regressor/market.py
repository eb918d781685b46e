"""The synthetic market: drawn products with sales of known expectation and noise.

log units = A[c] + B[k] + C[p] + D[b] - 0.6 ln(x / m_c) + 0.3 sin(2 pi (t - phi[c]))
            + 0.25 [k is the season's colour] + e,   e ~ N(0, s)

for category c, colour k, pattern p, brand b, price x and season phase t; s is 0.15 for plain
garments and 0.75 for patterned ones, which are half of all.
"""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray

from drawing.demo_shop import BRANDS, PRICES
from drawing.draw import CATEGORIES, COLOURS, PATTERNS, Garment, draw_garment
from models.sales.columns import phase_of

Floats = NDArray[np.float64]
MEDIAN_PRICES = {category: PRICES[category] + 9.0 for category in CATEGORIES}
QUIET, LOUD = 0.15, 0.75
"""Standard deviations of the noise of plain and of patterned garments."""
FIRST_SEED = 810_000_000
"""Style seeds from here on are used for the market alone; the embedder never saw them."""
FIRST_DAY = date(2024, 1, 1)
DAYS = 731
SIDE_PX = 256


@dataclass(frozen=True)
class Market:
    """The effects on sales; drawn once from a seed.

    category (9,), colour (12,), pattern (4,), brand (7,): effects on log units; phase (9,): of each
    category's season; season_colour (4,): the index of the colour that each quarter favours.
    """

    category: Floats
    colour: Floats
    pattern: Floats
    brand: Floats
    phase: Floats
    season_colour: NDArray[np.int64]

    @classmethod
    def draw(cls, seed: int) -> "Market":
        """The effects of one random market."""
        rng = default_rng([seed, 1])
        return cls(
            category=rng.normal(3.0, 0.5, len(CATEGORIES)),
            colour=rng.normal(0.0, 0.4, len(COLOURS)),
            pattern=rng.normal(0.0, 0.3, len(PATTERNS)),
            brand=rng.normal(0.0, 0.2, len(BRANDS)),
            phase=rng.uniform(0.0, 1.0, len(CATEGORIES)),
            season_colour=rng.integers(0, len(COLOURS), 4),
        )


@dataclass(frozen=True)
class MarketSales:
    """One sales row for each garment. expected: log units without noise; noise: its deviation s."""

    brand: NDArray[np.str_]
    price: Floats
    day: list[date]
    units: Floats
    expected: Floats
    noise: Floats


def choose_garments(count: int, seed: int = 0) -> list[Garment]:
    """Garments with uniform categories and colours; half of them are plain."""
    rng = default_rng([seed, 2])
    first = FIRST_SEED + seed * 1_000_000
    return [
        Garment(
            category=CATEGORIES[rng.integers(len(CATEGORIES))],
            colour=COLOURS[rng.integers(len(COLOURS))],
            pattern=PATTERNS[rng.integers(1, len(PATTERNS))] if rng.random() < 0.5 else "plain",
            style_seed=first + at,
        )
        for at in range(count)
    ]


def sell(
    market: Market, garments: Sequence[Garment], seed: int,
    prices: Sequence[float] | None = None, brands: Sequence[str] | None = None,
) -> MarketSales:  # fmt: skip
    """Sales of the garments, with random days, and random brands and prices unless specified."""
    rng, count = default_rng([seed, 3]), len(garments)
    category = np.array([CATEGORIES.index(garment.category) for garment in garments])
    colour = np.array([COLOURS.index(garment.colour) for garment in garments])
    pattern = np.array([PATTERNS.index(garment.pattern) for garment in garments])
    medians = np.array([MEDIAN_PRICES[garment.category] for garment in garments])
    brand, price_ratio_log = rng.integers(0, len(BRANDS), count), rng.normal(0.0, 0.3, count)
    if brands is not None:
        brand = np.array([BRANDS.index(name) for name in brands])
    if prices is not None:
        price_ratio_log = np.log(np.array(prices) / medians)
    days = rng.integers(0, DAYS, count)
    day = [FIRST_DAY + timedelta(int(offset)) for offset in days]
    phase = np.array([phase_of(date_) for date_ in day])
    in_season = market.season_colour[(phase * 4).astype(int)] == colour
    expected = (
        market.category[category]
        + market.colour[colour]
        + market.pattern[pattern]
        + market.brand[brand]
        - 0.6 * price_ratio_log
        + 0.3 * np.sin(2 * np.pi * (phase - market.phase[category]))
        + 0.25 * in_season
    )
    noise = np.where(pattern == 0, QUIET, LOUD)
    return MarketSales(
        brand=np.array(BRANDS)[brand],
        price=np.round(medians * np.exp(price_ratio_log), 2),
        day=day,
        units=np.exp(expected + noise * rng.normal(size=count)),
        expected=expected,
        noise=noise,
    )


def draw_pictures(garments: Sequence[Garment], workers: int = 1) -> list[NDArray[np.uint8]]:
    """Every garment's picture, (256, 256, 3) uint8 RGB."""
    if workers == 1:
        return [_draw(garment) for garment in garments]
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(_draw, garments, chunksize=50))


def _draw(garment: Garment) -> NDArray[np.uint8]:
    return np.asarray(draw_garment(garment, SIDE_PX))
