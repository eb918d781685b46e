"""Facts of rows against sets of pairs: replaced, compacted, and taken into new postings."""

import numpy as np
import pytest

from models.index.columns import facts
from models.index.columns.facts import FactStore


def pairs(store: FactStore, codes: list[int]) -> set[tuple[int, int]]:
    rows, places = store.entries(codes)
    entries = [(int(row), codes[place]) for row, place in zip(rows, places, strict=True)]
    assert len(set(entries)) == len(entries)
    return set(entries)


def test_replaced_facts_equal_those_of_a_dictionary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "COMPACT_PAIRS", 40)
    random = np.random.default_rng(0)
    store, expected = FactStore(), dict[int, list[int]]()
    for step in range(600):
        row = int(random.integers(0, 60))
        expected[row] = sorted(set(random.integers(0, 12, int(random.integers(0, 5))).tolist()))
        store.put(row, expected[row])
        if step % 150 == 100:  # as in a new version, or after dead rows were removed
            rows = np.array(sorted(expected))[::2]
            store = FactStore(store.take(rows, 12))
            expected = {place: expected[row] for place, row in enumerate(rows.tolist())}
        if step % 7 == 0:
            codes = sorted(set(random.integers(0, 14, 4).tolist()))
            right = {(row, code) for row, own in expected.items() for code in own if code in codes}
            assert pairs(store, codes) == right
            mask = store.mask(codes, 60)
            assert set(np.flatnonzero(mask).tolist()) == {row for row, _ in right}
    assert store.mask([], 60).sum() == 0
