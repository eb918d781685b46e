"""Which document holds a row's words, through puts, removals and compactions."""

import numpy as np

from models.index.words import documents
from models.index.words.documents import Documents


def rows_of(table: Documents, rows: int) -> list[float]:
    values = np.arange(1, table.count + 1, dtype=np.float32)
    return [float(value) for value in table.to_rows(values, rows)]


def test_a_row_has_its_newest_document() -> None:
    table = Documents(np.array([7, 8, 9], dtype=np.uint64))
    assert table.put(1, 8) is None
    assert table.put(1, 5) == 3
    table.remove(2)
    table.remove(2)
    table.remove(40)
    assert table.put(5, 6) == 4
    assert rows_of(table, 7) == [1, 4, 0, 0, 0, 5, 0]
    assert table.live_rows([4, 1, 3, 2]).tolist() == [1, 5]


def test_documents_follow_rows_that_are_numbered_anew() -> None:
    table = Documents(np.array([7, 8, 9], dtype=np.uint64))
    table.put(1, 5)
    table.remove(0)
    table.renumber(np.array([1, 2, 9]))
    assert rows_of(table, 3) == [4, 3, 0]
    assert table.put(2, 1) == 4
    assert rows_of(table, 3) == [4, 3, 5]


def test_dead_documents_are_dropped() -> None:
    table = Documents(np.array([7], dtype=np.uint64))
    for turn in range(2 * documents.COMPACT_DOCUMENTS):
        table.put(turn % 3, turn + 10)
    assert table.is_compaction_due
    numbers = table.compact()
    assert (numbers >= 0).sum() == table.count == 4
    assert not table.is_compaction_due
    assert sorted(rows_of(table, 3)) == [2, 3, 4]
