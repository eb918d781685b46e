"""Words typed by users of the demo shop, over its products' texts."""

from collections.abc import Callable

import numpy as np
import pytest

from drawing.demo_shop import DemoProduct, demo_products
from models.index.shapes import ProductText
from models.index.words.build import WordWriter
from models.index.words.files import open_words
from models.index.words.word_index import WordIndex

PRODUCTS = sorted(demo_products(648), key=lambda product: product.id.encode())


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> WordIndex:
    folder = tmp_path_factory.mktemp("words") / "version"
    folder.mkdir()
    writer = WordWriter(folder)
    for product in PRODUCTS:
        garment = product.garment
        writer.add(
            ProductText(
                product.id, product.title, garment.category, product.brand, None,
                f"{product.title} by {product.brand}, drawn for the demo.",
                (garment.colour, garment.pattern),
            )
        )  # fmt: skip
    writer.finish()
    writer.close()
    return WordIndex(open_words(folder))


def best(index: WordIndex, query: str) -> list[DemoProduct]:
    match = index.match(query, len(PRODUCTS))
    keys = match.scores + 2.0 * match.is_complete
    keys[match.exact] += 2
    rows = np.argsort(-keys, kind="stable")[: int(match.is_complete.sum())]
    return [PRODUCTS[row] for row in rows[:5]]


def is_a(category: str, colour: str = "", pattern: str = "") -> Callable[[DemoProduct], bool]:
    def check(product: DemoProduct) -> bool:
        garment = product.garment
        return (
            garment.category == category
            and garment.colour in (colour or garment.colour)
            and garment.pattern in (pattern or garment.pattern)
        )

    return check


@pytest.mark.parametrize(
    ("query", "is_right"),
    [
        ("Ember Row shorts", lambda one: one.brand == "Ember Row" and is_a("shorts")(one)),
        ("aldersea", lambda one: one.brand == "Aldersea"),
        ("cinder lane jacket", lambda one: one.brand == "Cinder Lane" and is_a("jacket")(one)),
        ("bramble and co bag", lambda one: one.brand == "Bramble & Co" and is_a("bag")(one)),
        ("grean dotted skrt", is_a("skirt", "green", "dotted")),
        ("orenge bag", is_a("bag", "orange")),
        ("whiteshirt", is_a("shirt", "white")),
        ("red drss", is_a("dress", "red")),
        ("REDDRESS", is_a("dress", "red")),
        ("grünes T-Shirt", is_a("t-shirt", "green")),
        ("jupe jaune", is_a("skirt", "yellow")),
        ("pantalón negro", is_a("trousers", "black")),
        ("borsa marrone", is_a("bag", "brown")),
        ("plaid trousers", is_a("trousers", "", "checked")),
    ],
)
def test_the_first_five_are_right(
    index: WordIndex, query: str, is_right: Callable[[DemoProduct], bool]
) -> None:
    products = best(index, query)
    assert products
    assert [product.title for product in products if not is_right(product)] == []


@pytest.mark.parametrize("query", ["washing machine", "hoodie", "qwrtzp", "42"])
def test_nothing_fits(index: WordIndex, query: str) -> None:
    assert best(index, query) == []


def test_an_id_is_first(index: WordIndex) -> None:
    assert best(index, "demo-bag-pink-checked-4")[0].id == "demo-bag-pink-checked-4"
    assert [one.id for one in best(index, "demo-bag-pink-cheked-4")] == ["demo-bag-pink-checked-4"]
