"""Texts become terms in the same way, however they are written."""

import pytest

from models.index.words.analysis import LONGEST_TERM, fold, fold_key, terms_of, words_of


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("GRÜNES T-Shirt", "grunes t-shirt"),
        ("Été", "ete"),
        ("Maß", "mass"),
        ("Łódź", "lodz"),
        ("smørrebrød", "smorrebrod"),
        ("ﬁne", "fine"),
        ("ｆｕｌｌ", "full"),
        ("plain", "plain"),
    ],
)
def test_case_accents_and_compatibility_forms_are_folded(text: str, folded: str) -> None:
    assert fold(text) == folded
    assert fold(fold(text)) == folded


@pytest.mark.parametrize("text", ["t-shirt", "T-Shirt", "t‑shirt".replace("‑", "-"), "t.shirt"])
def test_a_word_that_begins_with_a_letter_is_one_term(text: str) -> None:
    assert terms_of(text) == ["tshirt"]


def test_other_compounds_are_found_by_their_parts_and_as_one_word() -> None:
    assert terms_of("Button-Down 2-in-1 men's l'été") == [
        "button", "down", "buttondown", "2", "in", "1", "2in1", "men", "s", "mens", "ete",
    ]  # fmt: skip
    assert words_of("a t-shirt") == [("a",), ("t", "shirt")]


def test_long_words_are_cut() -> None:
    assert terms_of("x" * 300) == ["x" * LONGEST_TERM]
    assert terms_of("!!! — …") == []


def test_identifiers_are_compared_by_letters_and_digits() -> None:
    assert fold_key("SKU/7-S") == fold_key("sku 7 s") == "sku7s"
    assert fold_key("—") == ""
