"""Words with typing errors find what they were meant for; comparing letters first misses none."""

import random

import pytest
from rapidfuzz.distance import OSA

from models.index.text_table import TextTable
from models.index.words.spelling import ONE_EDIT, SpellingTable, allowed_edits, letters_of

WORDS = sorted(
    {"".join(random.Random(seed).choices("abcdeé1", k=3 + seed % 9)) for seed in range(600)},
    key=str.encode,
)


def table_of(words: list[str], added: list[str]) -> SpellingTable:
    import numpy as np

    letters = np.array([letters_of(word) for word in words], dtype=np.uint64)
    table = SpellingTable(TextTable.of(words), letters)
    for word in added:
        table.add(word)
    return table


@pytest.mark.parametrize("edits", [1, 2])
def test_the_nearest_words_are_those_of_an_exhaustive_comparison(edits: int) -> None:
    table = table_of(WORDS[:400], WORDS[400:])
    draw = random.Random(5)
    for _ in range(200):
        word = list(draw.choice(WORDS))
        word[draw.randrange(len(word))] = draw.choice("abcdeé1z")
        text = "".join(word)
        distances = [OSA.distance(text, other) for other in WORDS]
        fewest = min(distances)
        nearest = {place for place, distance in enumerate(distances) if distance == fewest}
        expected = {place for place in nearest if len(WORDS[place]) >= ONE_EDIT}
        similar = dict(table.similar(text, edits))
        assert set(similar) == (expected if fewest <= edits else set())
        assert all(WORDS[place] == table[place] for place in similar)


@pytest.mark.parametrize(
    ("word", "edits"),
    [
        ("re", 0),
        ("pik", 1),
        ("skrt", 1),
        ("orenge", 1),
        ("trousres", 2),
        ("12345678", 0),
        ("sku12345", 1),
    ],
)  # fmt: skip
def test_long_words_may_have_more_errors(word: str, edits: int) -> None:
    assert allowed_edits(word) == edits
