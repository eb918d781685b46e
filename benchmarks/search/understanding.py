"""Time of reading a query, of comparing a catalogue with the languages, and of suggestions.

    python -m benchmarks.search.understanding [--brands 5000]

One thread, no servers: what a Gateway computes beside each search. CPU time.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from time import process_time

from drawing.demo_shop import demo_products
from models.index.catalogue_values import CatalogueValues
from studio.search.suggest import Suggester, entries_of
from studio.search.understanding.catalogue import read_catalogue
from studio.search.understanding.understand import understand

PRODUCTS = 432
REPETITIONS = 200
QUERIES = (
    "red dress", "Ember Row shorts", "jacket under 115", "trousers 55 to 65 euro",
    "bag but not plain", "grean dotted skrt", "whiteshirt", "washing machine",
    "grünes T-Shirt", "rotes Kleid ohne Streifen bis 50 Euro", "Sommerkleid",
    "robe rouge à rayures moins de 50 €", "vestidos rojos sin rayas", "borsa marrone",
    "a photo of a navy blue polka dot dress for a summer party in stock",
)  # fmt: skip
BEGINNINGS = ("r", "re", "red d", "dres", "drss", "alder", "blue shi", "qqqq")


def values_of(brands: int) -> CatalogueValues:
    """What the demo's products carry, with invented brands beside theirs."""
    products = demo_products(PRODUCTS)
    random = Random(0)
    syllables = [first + second for first in "bcdfglmnprst" for second in "aeiou"]
    invented = {
        " ".join("".join(random.choices(syllables, k=3)).title() for _ in range(2)): 1
        for _ in range(brands)
    }
    return CatalogueValues(
        PRODUCTS,
        Counter(product.garment.category for product in products),
        Counter(product.brand for product in products) | Counter(invented),
        {"EUR": PRODUCTS},
        {
            "colour": Counter(product.garment.colour for product in products),
            "pattern": Counter(product.garment.pattern for product in products),
        },
        {"colour": PRODUCTS, "pattern": PRODUCTS},
    )


def measure(name: str, run: Callable[[str], object], inputs: Sequence[str]) -> None:
    """Prints quantiles over many runs of each input."""
    times_us = []
    for text in [*inputs] * REPETITIONS:
        started_s = process_time()
        run(text)
        times_us.append((process_time() - started_s) * 1e6)
    times_us.sort()
    middle, high = (times_us[int(len(times_us) * share)] for share in (0.5, 0.95))
    print(f"| {name} | {middle:.0f} µs | {high:.0f} µs |")


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--brands", type=int, default=5000)
    brands = parser.parse_args().brands
    values = values_of(brands)
    read_catalogue(values)  # with the tables of the languages, which are made once
    started_s = process_time()
    catalogue = read_catalogue(values)
    catalogue_ms = (process_time() - started_s) * 1000
    started_s = process_time()
    suggester = Suggester(entries_of(values, dict.fromkeys(QUERIES, 3)))
    suggester_ms = (process_time() - started_s) * 1000
    print(f"a catalogue of {brands} brands is read in {catalogue_ms:.0f} ms,")
    print(f"its suggestions are sorted in {suggester_ms:.0f} ms\n")
    print("| | p50 | p95 |\n|---|---|---|")
    measure("a query is read", lambda text: understand(text, catalogue), QUERIES)
    measure("suggestions without products", lambda text: suggester.suggest(text, 8), BEGINNINGS)


if __name__ == "__main__":
    main()
