"""The words that are left for vectors and for the catalogue's texts."""

import pytest

from studio.search.understanding.catalogue import read_catalogue
from studio.search.understanding.understand import understand
from tests.studio.search.understanding.shops import demo_vocabulary

CATALOGUE = read_catalogue(demo_vocabulary())


@pytest.mark.parametrize(
    ("query", "text", "phrase"),
    [
        ("robe rouge à rayures", "red striped dress", "robe rouge à rayures"),
        ("robe rouge moins de 50 €", "red dress", "robe rouge"),
        ("Ember Row shorts", "shorts", "Ember Row shorts"),
        ("ember row", "ember row", "ember row"),
        ("under 50", "", ""),
        ("grean skrt", "green skirt", "green skirt"),
        ("  red   dress ", "red   dress", "red   dress"),
        ("red dress, not striped, and under 50", "red dress", "red dress"),
    ],
)
def test_words_for_vectors_and_words_for_texts(query: str, text: str, phrase: str) -> None:
    understood = understand(query, CATALOGUE)
    assert (understood.text, understood.phrase) == (text, phrase)


def test_words_of_other_languages_come_with_their_english_terms() -> None:
    understood = understand("jupe jaune sans rayures", CATALOGUE)
    assert understood.translations == (("jupe", "skirt"), ("jaune", "yellow"))
    assert understand("yellow skirt", CATALOGUE).translations == ()
