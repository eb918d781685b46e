"""How a query is divided, and which of several meanings a word has."""

import pytest

from studio.search.understanding.catalogue import NO_CATALOGUE, read_catalogue
from studio.search.understanding.spans import MOST_WORDS, read_spans
from tests.studio.search.understanding.shops import big_vocabulary, demo_vocabulary

DEMO, BIG = read_catalogue(demo_vocabulary()), read_catalogue(big_vocabulary())


def test_the_longest_phrase_wins() -> None:
    spans = read_spans("navy blue polka dot t-shirt", DEMO).spans
    assert [span.written for span in spans] == ["navy blue", "polka dot", "t-shirt"]


def test_no_phrase_goes_across_a_comma() -> None:
    spans = read_spans("navy, blue", DEMO).spans
    assert [span.written for span in spans] == ["navy", "blue"]


def test_a_brand_of_the_catalogue_comes_before_words() -> None:
    (span,) = read_spans("Not Your Daughter's Jeans", BIG).spans
    assert span.value is not None and span.value.field == "brand"
    (span,) = read_spans("Not Your Daughter's Jeans", DEMO).spans
    assert span.value is None and "idiom" in span.entry.roles


@pytest.mark.parametrize(
    ("query", "languages"),
    [
        ("red dress", ["en"]), ("rotes Kleid", ["de"]), ("robe rouge", ["fr"]),
        ("vestido rojo", ["es"]), ("borsa marrone", ["it"]), ("xyzzy 42", []),
    ],
)  # fmt: skip
def test_the_language_of_a_query_is_that_of_its_words(query: str, languages: list[str]) -> None:
    assert read_spans(query, NO_CATALOGUE).languages == languages


@pytest.mark.parametrize(
    ("query", "word", "english"),
    [
        ("robe rouge", "robe", "dress"), ("silk robe", "robe", "bathrobe"),
        ("schwarzer Rock", "Rock", "skirt"), ("Kleid für Damen", "für", None),
        ("faux fur coat", "faux fur", "faux fur"), ("rock band t-shirt", "rock", None),
    ],
)  # fmt: skip
def test_a_word_of_two_languages_means_what_the_others_say(
    query: str, word: str, english: str | None
) -> None:
    spans = {span.written: span for span in read_spans(query, DEMO).spans}
    term = spans[word].term
    assert (None if term is None else term.english) == english


def test_a_long_text_is_not_corrected() -> None:
    text = "grean " * (MOST_WORDS + 1)
    assert not any(span.is_corrected for span in read_spans(text, DEMO).spans)
    assert read_spans("grean dress", DEMO).spans[0].is_corrected
