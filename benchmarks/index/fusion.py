"""What words and facets add to the time of a text search in the Index, at 100,000 products.

Run: python -m benchmarks.index.fusion [--count 100000]

Vectors are made of a direction for each property, with noise; a query's vector is made of the same
directions. CPU time of the thread that searches, since the machine may be shared.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import head, keep
from benchmarks.search.shop import COLOURS, KINDS, PATTERNS, STYLES, ShopProduct, shop
from models.index.answers.answer import answer_many
from models.index.build import IndexWriter
from models.index.check import check_index
from models.index.files import open_files
from models.index.product_index import ProductIndex
from models.index.shapes import ProductAttributes, SearchQuery

DIM, QUERIES, NOISE, TITLES = 512, 300, 1.0, 256
FACETS = ("category", "brand", "inStock", "price", "attributes.colour")
PROPERTIES = (*KINDS, *COLOURS, *PATTERNS, *STYLES)


def directions() -> dict[str, NDArray[np.float32]]:
    """A unit vector for each property."""
    random = np.random.default_rng(1)
    rows = random.normal(size=(len(PROPERTIES), DIM)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return dict(zip(PROPERTIES, rows, strict=True))


def vector_of(
    names: Sequence[str], axes: dict[str, NDArray[np.float32]], noise: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """A unit vector that is near all of the properties."""
    vector = sum((axes[name] for name in names), np.zeros(DIM, dtype=np.float32))
    vector = vector if noise is None else vector + noise
    unit: NDArray[np.float32] = vector / np.linalg.norm(vector)
    return unit


def attributes_of(product: ShopProduct, number: int) -> ProductAttributes:
    """Attributes with facets of all kinds."""
    facts = (("colour", product.colour), ("pattern", product.pattern), ("size", product.size))
    price_e4 = (number * 7919 % 20_000) * 100
    brand = product.text.brand
    return ProductAttributes(product.kind, brand, price_e4, number % 10 > 0, "EUR", facts=facts)


def build(folder: Path, products: Sequence[ShopProduct]) -> ProductIndex:
    """A version with its stats."""
    axes, random = directions(), np.random.default_rng(2)
    with IndexWriter(folder) as writer:
        for number, product in enumerate(products):
            noise = random.normal(size=DIM).astype(np.float32) * (NOISE / DIM**0.5)
            names = (product.kind, product.colour, product.pattern, product.style)
            vector = vector_of(names, axes, noise).astype(np.float16)
            writer.add(product.text.id, vector, attributes_of(product, number), product.text)
        writer.finish()
    step = max(1, len(products) // TITLES)
    titles = [
        vector_of((one.kind, one.colour, one.pattern, one.style), axes, None)
        for one in products[::step]
    ]
    checked = check_index(folder, titles)
    return ProductIndex(open_files(folder), checked.scores, checked.parameters)


def queries_of(products: Sequence[ShopProduct]) -> list[SearchQuery]:
    """Searches by colour and kind, brand and kind, and title, a third each."""
    axes, random = directions(), np.random.default_rng(3)
    queries = []
    for number in random.integers(0, len(products), QUERIES):
        product = products[number]
        names, phrase = (
            ((product.colour, product.kind), f"{product.colour} {product.kind}"),
            ((product.kind,), f"{product.text.brand} {product.kind}"),
            ((product.style, product.pattern, product.colour, product.kind), product.text.title),
        )[len(queries) % 3]
        queries.append(SearchQuery(10, text=vector_of(names, axes, None), phrase=phrase))
    return queries


def times(index: ProductIndex, queries: Sequence[SearchQuery]) -> NDArray[np.float64]:
    """Milliseconds of each search; the queries were searched once before."""
    for query in queries:
        answer_many(index, [query])
    took = []
    for query in queries:
        started = time.thread_time()
        answer_many(index, [query])
        took.append(time.thread_time() - started)
    return np.array(took) * 1e3


def main() -> None:
    """Builds the version and measures four kinds of search over the same queries."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    args = parser.parse_args()
    products = list(shop(args.count))
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "version"
        folder.mkdir()
        started = time.process_time()
        index = build(folder, products)
        build_s = time.process_time() - started
        queries = queries_of(products)
        fused = [replace(query, words_weight=0.5) for query in queries]
        kinds = {
            "pictures alone (`words` 0)": queries,
            "pictures alone, five facets": [replace(query, facets=FACETS) for query in queries],
            "words and pictures": fused,
            "words and pictures, five facets": [replace(query, facets=FACETS) for query in fused],
        }
        results = {name: times(index, group) for name, group in kinds.items()}
    base = np.percentile(next(iter(results.values())), 95)
    lines = [
        "# Words and facets in a text search", "",
        f"{head(f'python -m benchmarks.index.fusion --count {args.count}')}. {args.count:,}"
        f" products of {DIM} dimensions, built in {build_s:.0f} CPU s; {QUERIES} queries; CPU"
        " milliseconds of the Index's thread.", "",
        "| search | p50 | p95 | p95 ÷ pictures alone |", "| --- | --- | --- | --- |",
        *(
            f"| {name} | {np.percentile(took, 50):.2f} | {np.percentile(took, 95):.2f} |"
            f" {np.percentile(took, 95) / base:.2f} |"
            for name, took in results.items()
        ),
    ]  # fmt: skip
    keep("search_fusion", lines)


if __name__ == "__main__":
    main()
