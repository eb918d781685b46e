"""Searches that are understood, on the demo shop with the starter embedder: the first results."""

import io
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from drawing.demo_shop import DemoProduct, demo_products
from drawing.draw import draw_garment
from models.embedder.embedder import Embedder, EmbedderConfig, load
from models.index.answers.answer import IndexAnswer, answer_many
from models.index.catalogue_values import count_values
from models.index.files import empty_files
from models.index.product_index import ProductIndex
from models.index.shapes import PRICE_SCALE, ProductAttributes, ProductText, SearchQuery
from studio.search.understanding.catalogue import CatalogueWords, read_catalogue
from studio.search.understanding.understand import understand

COUNT = 432
FIRST = 5
SIDE_PX = 160
Fits = Callable[[DemoProduct], bool]


def of(category: str, colour: str = "", pattern: str = "") -> Fits:
    """Whether a product is of the category, colour and pattern; "" is any."""
    return lambda product: (
        product.garment.category == category
        and colour in ("", product.garment.colour)
        and pattern in ("", product.garment.pattern)
    )


CASES: tuple[tuple[str, Fits], ...] = (
    ("Ember Row shorts", lambda p: p.brand == "Ember Row" and p.garment.category == "shorts"),
    ("aldersea", lambda p: p.brand == "Aldersea"),
    ("grean dotted skrt", of("skirt", "green", "dotted")),
    ("orenge bag", of("bag", "orange")),
    ("whiteshirt", of("shirt", "white")),
    ("jacket under 115", lambda p: of("jacket")(p) and p.price <= 115),
    ("trousers 55 to 65 euro", lambda p: of("trousers")(p) and 55 <= p.price <= 65),
    ("bag but not plain", lambda p: of("bag")(p) and p.garment.pattern != "plain"),
    ("shoes without dots", lambda p: of("shoes")(p) and p.garment.pattern != "dotted"),
    ("grünes T-Shirt", of("t-shirt", "green")),
    ("jupe jaune", of("skirt", "yellow")),
    ("pantalón negro", of("trousers", "black")),
    ("borsa marrone", of("bag", "brown")),
    ("red dress under 65, not striped",
     lambda p: of("dress", "red")(p) and p.price <= 65 and p.garment.pattern != "striped"),
    ("robe rouge à rayures", of("dress", "red", "striped")),
    ("günstiges blaues Kleid ohne Punkte",
     lambda p: of("dress", "blue")(p) and p.garment.pattern != "dotted"),
)  # fmt: skip


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return load(EmbedderConfig(device="cpu"))


@pytest.fixture(scope="module")
def shop(embedder: Embedder) -> Iterator[tuple[ProductIndex, dict[str, DemoProduct]]]:
    """The index of the demo's products, and the products by their ids."""
    products = demo_products(COUNT)
    index = ProductIndex(empty_files(embedder.dim))
    for start in range(0, COUNT, 16):
        part = products[start : start + 16]
        pictures = [embedder.reader.read(_jpeg(product)) for product in part]
        for product, vector in zip(part, embedder.embed_images(pictures), strict=True):
            index.put(product.id, vector.astype(np.float16), _attributes(product), _text(product))
    yield index, {product.id: product for product in products}


def _jpeg(product: DemoProduct) -> bytes:
    buffer = io.BytesIO()
    draw_garment(product.garment, size=SIDE_PX).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _attributes(product: DemoProduct) -> ProductAttributes:
    facts = (("colour", product.garment.colour), ("pattern", product.garment.pattern))
    return ProductAttributes(
        product.garment.category, product.brand, int(product.price * PRICE_SCALE),
        product.in_stock, "EUR", facts=facts,
    )  # fmt: skip


def _text(product: DemoProduct) -> ProductText:
    values = (product.garment.colour, product.garment.pattern)
    return ProductText(
        product.id, product.title, product.garment.category, product.brand, values=values
    )


def _search(
    index: ProductIndex, embedder: Embedder, catalogue: CatalogueWords, query: str
) -> IndexAnswer:
    understood = understand(query, catalogue)
    (vector,) = embedder.embed_texts([understood.text or query])
    (answer,) = answer_many(index, [
        SearchQuery(
            FIRST, text=vector, filters=understood.joined(SearchQuery(1).filters),
            phrase=understood.phrase, synonyms=understood.translations, words_weight=0.5,
            sort=understood.sort or "relevance",
        )
    ])  # fmt: skip
    return answer


@pytest.mark.proof
@pytest.mark.timeout(600)
@pytest.mark.parametrize("query", [query for query, _ in CASES])
def test_the_first_results_satisfy_all_of_the_query(
    shop: tuple[ProductIndex, dict[str, DemoProduct]], embedder: Embedder, query: str
) -> None:
    index, products = shop
    fits = dict(CASES)[query]
    catalogue = read_catalogue(count_values(index.rows))
    answer = _search(index, embedder, catalogue, query)
    hits = [products[product_id] for product_id, _ in answer.hits]
    right = sum(fits(product) for product in products.values())
    assert len(hits) == min(FIRST, right) and right > 0
    assert [product.id for product in hits if not fits(product)] == []


@pytest.mark.proof
@pytest.mark.timeout(600)
def test_what_nothing_fits_is_not_narrowed(
    shop: tuple[ProductIndex, dict[str, DemoProduct]], embedder: Embedder
) -> None:
    understood = understand("washing machine", read_catalogue(count_values(shop[0].rows)))
    assert understood.is_plain and understood.text == "washing machine"
