"""The tables of the five languages fit together."""

from studio.search.understanding.languages.shared import KIND_OF, SHADE_OF
from studio.search.understanding.lexicon import LANGUAGES, lexicon
from studio.search.understanding.tokens import phrase_of


def test_every_language_says_everything() -> None:
    roles = {
        "below", "above", "between", "from", "to", "about", "bound", "and", "or", "not", "in stock",
        "sold out", "size", "cheap", "cheapest", "dearest", "newest", "with", "for", "in",
        "article",
    }  # fmt: skip
    for language in LANGUAGES:
        assert roles <= set(language.grammar), language.code
        assert set(language.looks) == {"garment", "colour", "pattern", "material", "person"}


def test_terms_are_english_terms() -> None:
    english = {(look, term) for look, terms in LANGUAGES[0].looks.items() for term in terms}
    for language in LANGUAGES[1:]:
        own = {(look, term) for look, terms in language.looks.items() for term in terms}
        assert own - english == set(), language.code
    garments = {term for look, term in english if look == "garment"}
    assert set(KIND_OF) | set(KIND_OF.values()) <= garments
    colours = {term for look, term in english if look == "colour"}
    assert set(SHADE_OF) | set(SHADE_OF.values()) <= colours


def test_a_phrase_means_one_thing_in_a_language() -> None:
    for phrase, entry in lexicon().entries.items():
        meanings = {(term.look, term.language): term.english for term in entry.terms}
        assert len(meanings) == len(entry.terms), phrase


def test_umlauts_may_be_written_with_an_e() -> None:
    assert lexicon().entries[phrase_of("gruenes")].terms == lexicon().entries[("grunes",)].terms
