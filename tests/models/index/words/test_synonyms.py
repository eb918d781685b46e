"""The built-in list and a shop's own groups."""

from models.index.words.synonyms import FILE, Synonyms, builtin_synonyms, phrase_of


def test_a_group_works_in_all_directions_and_for_other_forms() -> None:
    synonyms = Synonyms([["sneaker", "trainer", "gym shoe"]])
    assert synonyms.of(("trainers",)) == [("sneaker",), ("gym", "shoe")]
    assert synonyms.of(("gym", "shoe")) == [("sneaker",), ("trainer",)]
    assert synonyms.of(("boot",)) == []


def test_a_narrow_word_does_not_find_the_wide_ones() -> None:
    builtin = builtin_synonyms()
    assert ("jeans",) in builtin.of(("trousers",))
    assert ("trousers",) not in builtin.of(("jeans",))


def test_garments_are_known_in_five_languages() -> None:
    for word in ("kleid", "robe", "vestido", "vestito"):
        assert ("dress",) in builtin_synonyms().of((word,))


def test_every_line_of_the_list_has_several_words() -> None:
    for line in FILE.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            phrases = [phrase_of(text) for text in line.replace(">", ",").split(",")]
            assert len(phrases) == len(set(phrases)) > 1, line
            assert () not in phrases, line
