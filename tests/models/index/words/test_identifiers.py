"""Ids and SKUs with typing errors."""

from models.index.shapes import ProductText
from models.index.words.files import empty_words
from models.index.words.identifiers import Identifiers, codes_of, keys_of


def test_ids_skus_and_titles_are_found_whatever_their_punctuation() -> None:
    identifiers = Identifiers(empty_words().identifiers)
    identifiers.add(ProductText("p-1", "Red dress", sku="AB/12-S"), 0)
    identifiers.add(ProductText("p-2", "Red dress", sku="AB/13-S"), 1)
    assert identifiers.find("ab12s") == identifiers.find("AB 12 S") == [0]
    assert identifiers.find("RED DRESS") == [0, 1]
    assert identifiers.find("—") == []
    assert identifiers.similar("AB/12-X") == [("ab12s", 0)]
    assert identifiers.similar("red dres") == []


def test_a_product_without_letters_in_its_names_has_no_empty_key() -> None:
    text = ProductText("—", "…", sku=None)
    assert codes_of(text) == keys_of(text) == []
