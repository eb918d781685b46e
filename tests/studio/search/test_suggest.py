"""Suggestions in memory, and which queries may be shown to others."""

import pytest

from models.index.catalogue_values import CatalogueValues
from studio.search.suggest import Suggester, entries_of, is_fit_to_show

SUGGESTER = Suggester(
    entries_of(
        CatalogueValues(9, {"Dress": 5, "Women > Shoes": 3}, {"Dressmann": 2, "Élan": 1}),
        {"red dress": 7, "evening dress": 4},
    )
)


def texts(phrase: str, most: int = 8) -> list[str]:
    return [suggestion.text for suggestion in SUGGESTER.suggest(phrase, most)]


def test_words_are_completed_the_weightiest_first() -> None:
    assert texts("dr") == ["red dress", "Dress", "evening dress", "Dressmann"]
    assert texts("dr", 1) == ["red dress"]
    assert texts("RED  d") == ["red dress"]
    assert texts("elan") == ["Élan"]
    assert texts("ress") == []


def test_a_typing_error_is_forgiven_where_nothing_else_begins_so() -> None:
    assert texts("drss") == ["red dress", "Dress", "evening dress", "Dressmann"]
    assert texts("evneing") == ["evening dress"]
    assert texts("xyzzy") == []


@pytest.mark.parametrize(
    "query",
    ["ann@example.com", "call 0171 2345678", "12345", "https://x", "ab", "x" * 61, "<b>red</b>",
     "+49 (171) 23-45-678"],
)  # fmt: skip
def test_what_looks_personal_is_not_shown(query: str) -> None:
    assert not is_fit_to_show(query)


def test_ordinary_queries_are_shown() -> None:
    assert is_fit_to_show("red dress under 50") and is_fit_to_show("levis 501")
