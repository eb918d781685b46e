"""The recipe of `models/starter/regressor`: a fit on drawn products and the synthetic market.

Run: python -m training.regressor.train --out models/starter/regressor
"""

import argparse
import io
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drawing.demo_shop import demo_products
from drawing.draw import Garment, draw_garment
from models.embedder.embedder import Embedder, EmbedderConfig, load
from models.embedder.lexicon import PROMPTS, Lexicon
from models.sales.columns import Offers, Sales, fold, phase_of
from models.sales.evaluation.report import report_on
from models.sales.files import rounded, write_regressor
from models.sales.fit import Parts, fit_regressor, split
from models.sales.regressor import RegressorConfig
from training.regressor.market import (
    Market,
    MarketSales,
    choose_garments,
    draw_pictures,
    sell,
)

DRAWN, DEMO, CHUNK, MARKET_SEED = 5000, 648, 64, 0
DEMO_SIDE_PX = 320


def main() -> None:
    """Draws, embeds, fits, writes the files and prints the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    started_s = time.perf_counter()
    embedder = load(EmbedderConfig())
    parts = market_parts(embedder, args.workers)
    lexicon = Lexicon(embedder.embed_texts(list(PROMPTS)))
    fitted = fit_regressor("starter", embedder.version, parts, lexicon)
    regressor = rounded(fitted, RegressorConfig())
    args.out.mkdir(parents=True, exist_ok=True)
    for name, data in write_regressor(regressor).items():
        (args.out / name).write_bytes(data)
    for name, value in report_on(regressor, parts.test, parts.fit).figures().items():
        print(f"{name}: {value}")
    print(f"{time.perf_counter() - started_s:.0f} s")


def market_parts(embedder: Embedder, workers: int = 1) -> Parts:
    """The market's sales: drawn products in three parts, the first with the demo catalogue.

    The demo's products are so among the comparables, while the calibration and test parts are
    drawings that neither the embedder nor the regressor was trained on.
    """
    market = Market.draw(MARKET_SEED)
    garments = choose_garments(DRAWN)
    names = [f"drawn-{at:05}" for at in range(DRAWN)]
    vectors = embed_drawings(embedder, garments, workers)
    drawn = split(to_sales(vectors, garments, sell(market, garments, MARKET_SEED), names))
    demo = _demo_sales(embedder, market)
    return Parts(join(drawn.fit, demo), drawn.calibration, drawn.test)


def embed_drawings(
    embedder: Embedder, garments: list[Garment], workers: int = 1
) -> NDArray[np.float32]:
    """(n, dim) unit vectors of drawings, which are held in memory one chunk at a time."""
    chunk = CHUNK * max(1, workers * 8 if workers > 1 else 1)
    vectors = []
    for start in range(0, len(garments), chunk):
        pictures = draw_pictures(garments[start : start + chunk], workers)
        pixels = [embedder.preprocess(Image.fromarray(picture)) for picture in pictures]
        vectors.append(embedder.embed_images(pixels))
    return np.concatenate(vectors)


def to_sales(
    vectors: NDArray[np.float32], garments: list[Garment], sold: MarketSales, names: list[str]
) -> Sales:
    """The columns that a merchant knows; colour and pattern are left out."""
    offers = Offers(
        vectors=vectors,
        category=np.array([fold(garment.category) for garment in garments]),
        brand=np.array([fold(str(brand)) for brand in sold.brand]),
        price=sold.price,
        phase=np.array([phase_of(day) for day in sold.day]),
    )
    return Sales(offers, np.array(names), sold.units)


def join(first: Sales, second: Sales) -> Sales:
    """Concatenates two sales tables."""
    offers = (
        np.concatenate([getattr(first.offers, name), getattr(second.offers, name)])
        for name in ("vectors", "category", "brand", "price", "phase")
    )
    return Sales(
        Offers(*offers),
        np.concatenate([first.key, second.key]),
        np.concatenate([first.units, second.units]),
    )


def _demo_sales(embedder: Embedder, market: Market) -> Sales:
    products = demo_products(DEMO)
    garments = [product.garment for product in products]
    sold = sell(market, garments, MARKET_SEED + 1, [float(product.price) for product in products],
                [product.brand for product in products])  # fmt: skip
    pixels = [embedder.preprocess(_as_in_the_shop(garment)) for garment in garments]
    return to_sales(
        embedder.embed_images(pixels), garments, sold, [product.id for product in products]
    )


def _as_in_the_shop(garment: Garment) -> Image.Image:
    buffer = io.BytesIO()
    draw_garment(garment, size=DEMO_SIDE_PX).save(buffer, "JPEG", quality=88)
    return Image.open(buffer).convert("RGB")


if __name__ == "__main__":
    main()
