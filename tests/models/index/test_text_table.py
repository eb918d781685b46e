"""Texts in order of their bytes."""

from models.index.text_table import TextTable


def test_texts_are_found_and_counted() -> None:
    texts = sorted({"", "a", "ab", "b", "é", "日本", "z" * 50}, key=str.encode)
    table = TextTable.of(texts)
    assert [table[row] for row in range(len(table))] == texts
    assert [table.find(text) for text in texts] == list(range(len(texts)))
    assert table.find("aa") is None
    assert table.count_up_to("aa") == texts.index("ab")
    assert TextTable.of([]).find("a") is None
