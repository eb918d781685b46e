"""Words, numbers and ids of a query."""

from studio.search.understanding.tokens import fold, phrase_of, tokenize


def test_case_accents_and_sharp_s_are_folded() -> None:
    assert fold("Größe") == "grosse"
    assert fold("ÉTÉ") == "ete"
    assert fold("Łódź") == "lodz"


def test_apostrophes_join_a_word_or_end_an_article() -> None:
    assert phrase_of("Levi's") == ("levis",)
    assert phrase_of("l'été") == ("l", "ete")
    assert phrase_of("jusqu’à 50") == ("jusqu", "a", "50")


def test_an_id_is_one_token_and_a_compound_is_several() -> None:
    assert phrase_of("demo-bag-pink-checked-4") == ("demo-bag-pink-checked-4",)
    assert phrase_of("SKU/7-S t-shirt") == ("sku/7-s", "t", "shirt")


def test_tokens_have_their_place_and_what_stands_before_them() -> None:
    text = "red dress, 49,90 €"
    tokens = tokenize(text)
    assert [text[token.start : token.end] for token in tokens] == ["red", "dress", "49,90"]
    assert [token.is_after_break for token in tokens] == [False, False, True]
    assert [token.is_number for token in tokens] == [False, False, True]
