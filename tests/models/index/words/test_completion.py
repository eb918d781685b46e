"""Products whose words begin as a phrase does."""

import numpy as np

from models.index.files import empty_files
from models.index.product_index import ProductIndex
from models.index.shapes import ProductAttributes, ProductText

TITLES = {"a": "Red dress", "b": "Red striped dress", "c": "Blue shirt", "d": "Reddish t-shirt"}


def open_index() -> ProductIndex:
    index = ProductIndex(empty_files(2))
    for product_id, title in TITLES.items():
        attributes = ProductAttributes("clothes", "Aldersea", 1, in_stock=True)
        text = ProductText(product_id, title, brand="Aldersea")
        index.put(product_id, np.array([1, 0], dtype=np.float16), attributes, text)
    return index


def complete(index: ProductIndex, phrase: str, most: int = 8) -> set[str]:
    return {index.rows.id(row) for row in index.words.complete(phrase, most)}


def test_the_last_word_may_be_unfinished_and_the_others_may_not() -> None:
    index = open_index()
    assert complete(index, "re") == {"a", "b", "d"}
    assert complete(index, "red dr") == {"a", "b"}
    assert complete(index, "dre shirt") == set()
    assert complete(index, "t-sh") == {"d"}
    assert complete(index, "alde") == set(TITLES)
    assert len(complete(index, "alde", 2)) == 2


def test_typing_errors_are_forgiven_where_no_word_begins_so() -> None:
    index = open_index()
    assert complete(index, "strped dress") == {"b"}
    assert complete(index, "blue shrit") == {"c"}


def test_removed_products_and_empty_phrases_complete_nothing() -> None:
    index = open_index()
    index.remove("b")
    assert complete(index, "stri") == set()
    assert complete(index, "  ") == set() and complete(index, "!") == set()
