"""The forms that a language's module writes short."""

from studio.search.understanding.languages.language import adjectives, merge


def test_stems_get_every_ending() -> None:
    assert adjectives(("red", "rot hellrot"), endings="e er") == {
        "red": "rot, rote, roter, hellrot, hellrote, hellroter"
    }


def test_tables_of_the_same_terms_are_joined() -> None:
    assert merge({"red": "rot", "blue": "blau"}, {"red": "rosso"}) == {
        "red": "rot, rosso", "blue": "blau",
    }  # fmt: skip
