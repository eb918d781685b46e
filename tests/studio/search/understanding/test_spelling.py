"""Compounds, and words with a typing error."""

import pytest

from studio.search.understanding.catalogue import read_catalogue
from studio.search.understanding.spelling import parts_of
from tests.studio.search.understanding.shops import demo_vocabulary

CATALOGUE = read_catalogue(demo_vocabulary())


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("whiteshirt", ["white", "shirt"]), ("reddress", ["red", "dress"]),
        ("lederjacke", ["leder", "jacke"]), ("abendkleid", ["abend", "kleid"]),
        ("grean", ["green"]), ("skrt", ["skirt"]), ("trowsers", ["trousers"]),
        ("dreses", ["dress"]), ("blie", ["blue"]), ("hat", []), ("address", []), ("hoodi", []),
        ("qwertyuiop", []),
    ],
)  # fmt: skip
def test_words_are_resolved(word: str, parts: list[str]) -> None:
    assert [written for written, _ in parts_of(word, [], CATALOGUE)] == parts


def test_errors_are_corrected_in_the_languages_of_the_query() -> None:
    assert parts_of("kleidd", [], CATALOGUE) == ()
    assert [written for written, _ in parts_of("kleidd", ["de"], CATALOGUE)] == ["kleid"]
