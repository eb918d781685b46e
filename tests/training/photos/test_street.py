"""Ambiguous labels, and those that the position of a pixel resolves."""

import numpy as np

from models.segmenter.atr import PERSON, UPPER, Atr
from training.photos.street import ANYTHING, SETS, SUIT, assign_sides, ground_truth


def test_the_ground_truth_marks_ambiguous_codes() -> None:
    codes = np.array([[0, Atr.UPPER_CLOTHES, SUIT, ANYTHING, Atr.PANTS]], np.uint8)
    truth, certain = ground_truth(codes, UPPER)
    assert truth.tolist() == [[False, True, False, False, False]]
    assert certain.tolist() == [[True, True, False, False, True]]
    truth, certain = ground_truth(codes, PERSON)
    assert truth.tolist() == [[False, True, True, False, True]]
    assert certain.tolist() == [[True, True, True, False, True]]
    assert all(classes for classes in SETS)


def test_a_suit_that_ends_at_the_hips_is_a_jacket() -> None:
    codes = np.zeros((100, 40), np.uint8)
    codes[5:15, 15:25] = Atr.FACE
    codes[15:50, 10:30] = SUIT
    codes[50:95, 12:28] = Atr.PANTS
    assert (assign_sides(codes)[15:50, 10:30] == Atr.UPPER_CLOTHES).all()
    codes[50:95, 12:28] = SUIT
    assert (assign_sides(codes)[15:50, 10:30] == SUIT).all()
