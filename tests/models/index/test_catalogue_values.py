"""Counts of the catalogue's values over base rows, changes and deletions."""

import numpy as np

from models.index.catalogue_values import NO_VALUES, count_values
from models.index.files import empty_files
from models.index.product_index import ProductIndex
from models.index.shapes import ProductAttributes


def product(category: str, brand: str | None, *facts: tuple[str, str]) -> ProductAttributes:
    return ProductAttributes(category, brand, 10, in_stock=True, currency="EUR", facts=facts)


def put(index: ProductIndex, product_id: str, attributes: ProductAttributes) -> None:
    index.put(product_id, np.array([1, 0, 0, 0], dtype=np.float16), attributes)


def test_live_products_are_counted_by_their_values() -> None:
    index = ProductIndex(empty_files(4))
    put(index, "a", product("Dress", "Aldersea", ("colour", "Red"), ("colour", "White")))
    put(index, "b", product("dress", None, ("colour", "red"), ("size", "42")))
    put(index, "c", product("Shoes", "Aldersea"))
    put(index, "d", product("Bags", "Fennick", ("colour", "green")))
    index.remove("d")
    values = count_values(index.rows)
    assert values.products == 3
    assert values.categories == {"Dress": 2, "Shoes": 1}
    assert values.brands == {"Aldersea": 2} and values.currencies == {"EUR": 3}
    assert values.facts == {"colour": {"Red": 2, "White": 1}, "size": {"42": 1}}
    assert values.carriers == {"colour": 2, "size": 1}
    put(index, "c", product("Shoes", "Fennick", ("size", "42")))
    assert count_values(index.rows).facts["size"] == {"42": 2}


def test_an_empty_index_has_no_values() -> None:
    assert count_values(ProductIndex(empty_files(4)).rows) == NO_VALUES
