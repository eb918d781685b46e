"""Texts with one, several and no values."""

from models.index.words.hash_table import HashTable, hash_of


def test_all_values_of_a_text_are_found_in_their_order() -> None:
    texts = [f"text {number % 50}" for number in range(120)]
    table = HashTable.of([hash_of(text) for text in texts], range(120))
    assert table.find("text 7") == [7, 57, 107]
    assert table.find("text 30") == [30, 80]
    assert table.find("other") == []
    assert HashTable.of([], []).find("text 7") == []
