"""Texts, groups and facts as numbers, compared without case."""

import numpy as np

from models.index.columns.dictionaries import FactCodes, GroupCodes, TextCodes


def test_texts_compare_without_case_and_show_their_first_spelling() -> None:
    texts = TextCodes(["Straße"])
    assert texts.code("STRASSE") == texts.find("strasse") == 0
    assert (texts.code("B"), texts.code("b"), texts.find("c")) == (1, 1, None)
    assert texts.spellings == ["Straße", "B"]
    assert texts.codes_of(["b", "c", "straße"]) == [1, 0]


def test_groups_have_the_same_numbers_when_they_are_read_back() -> None:
    groups = GroupCodes()
    names = [f"Group {number}" for number in range(500)]
    codes = [groups.code(name) for name in names]
    assert codes == list(range(500)) and groups.code(None) == -1
    again = GroupCodes(groups.hashes())
    assert [again.code(name.upper()) for name in names] == codes
    assert again.find("other") is None and again.code("other") == 500 == again.find("OTHER")
    assert len(again) == 501 and np.array_equal(again.hashes()[:500], groups.hashes())
    assert again.codes_of(["nothing", "group 7"]) == [7]


def test_facts_are_found_by_name_and_by_value() -> None:
    facts = FactCodes()
    red, small, blue = (
        facts.code("Colour", "Red"),
        facts.code("size", "S"),
        facts.code("COLOUR", "b"),
    )
    assert (red, small, blue) == (0, 1, 2) and facts.code("colour", "RED") == red
    assert facts.codes_of("colour") == [red, blue]
    assert facts.codes_of("colour", ["B", "red", "none"]) == [red, blue]
    assert facts.codes_of("size", ["red"]) == facts.codes_of("none") == []
    again = FactCodes(facts.names.spellings, facts.name_codes, facts.values)
    assert again.codes_of("SIZE") == [small] and again.code("size", "M") == 3 == len(again) - 1
