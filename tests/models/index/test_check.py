"""The cut-offs of a version: titles reach the lower one, words about other things not the upper."""

import numpy as np
import pytest

from models.index.check import OTHER_THINGS, fused_cutoff, text_cutoff, text_top
from models.index.stats import ScoreStats


def test_nearly_all_words_about_other_things_stay_below_the_cutoff() -> None:
    random = np.random.default_rng(0)
    vectors, others = (random.normal(size=(count, 16)) for count in (9000, 100))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    halves = vectors.astype(np.float16)
    rows = list(others.astype(np.float32))
    cutoff = fused_cutoff(halves, rows, 0.1)
    nearest = (others @ halves.astype(np.float64).T).max(axis=1)
    assert (nearest < cutoff).sum() == 98
    assert fused_cutoff(halves, rows, 0.99) == 0.99


@pytest.mark.parametrize("count", [0, 3])
def test_without_samples_the_cutoff_is_that_of_titles(count: int) -> None:
    others = [np.ones(4, dtype=np.float32)] * count
    assert fused_cutoff(np.zeros((0, 4), dtype=np.float16), others, 0.4) == 0.4
    assert fused_cutoff(np.zeros((5, 4), dtype=np.float16), [], 0.4) == 0.4


def test_titles_set_the_scale() -> None:
    tenth = np.linspace(0.3, 0.7, 101).astype(np.float32)
    assert text_cutoff(tenth) == pytest.approx(0.32)
    assert text_top(tenth) == pytest.approx(0.5)
    nothing = np.zeros(0, dtype=np.float32)
    assert text_cutoff(nothing) == ScoreStats().text_cutoff
    assert text_top(nothing) == ScoreStats().text_top


def test_the_other_things_are_not_those_of_the_evaluation() -> None:
    assert len(OTHER_THINGS) == len(set(OTHER_THINGS)) > 40
    assert "washing machine" not in OTHER_THINGS
