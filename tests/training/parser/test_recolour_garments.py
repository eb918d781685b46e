"""Recoloured garments: other colours, while everything else stays the same."""

import numpy as np
import torch
from numpy.random import default_rng

from models.segmenter.atr import Atr
from training.parser.recolour_garments import recolour_garments

CODES = torch.zeros(24, 40, 30, dtype=torch.int64)
CODES[:, 2:10, 10:20] = Atr.FACE
CODES[:, 12:22, 5:25] = Atr.UPPER_CLOTHES
CODES[:, 24:36, 5:25] = Atr.PANTS


def views() -> torch.Tensor:
    shade = default_rng(1).uniform(0.2, 0.8, (24, 3, 40, 30))
    return torch.from_numpy(shade.astype(np.float32))


def test_garments_change_each_on_its_own_and_nothing_else_does() -> None:
    before = views()
    after = recolour_garments(before, CODES, 1.0, default_rng(0))
    assert after.shape == before.shape
    assert 0 <= float(after.min()) <= float(after.max()) <= 1
    moved = (after - before).abs().amax(1)
    assert float(moved[:, :10].max()) < 1e-6  # face and ground, beyond the softened edge
    upper, pants = moved[:, 14:20, 8:22].amax((1, 2)), moved[:, 26:34, 8:22].amax((1, 2))
    kinds = {(bool(a > 0.02), bool(b > 0.02)) for a, b in zip(upper, pants, strict=True)}
    assert kinds == {(True, True), (True, False), (False, True), (False, False)}


def test_a_piece_moves_as_a_whole_and_keeps_its_folds() -> None:
    before = views()
    after = recolour_garments(before, CODES, 1.0, default_rng(0))
    for one, other in zip(before, after, strict=True):
        old, new = (view[1, 14:20, 8:22].flatten() for view in (one, other))
        inside = (new > 0) & (new < 1)
        related = np.corrcoef(old[inside].numpy(), new[inside].numpy())[0, 1]
        assert related > 0.99


def test_the_share_says_how_many_pictures_change() -> None:
    before = views()
    assert torch.allclose(recolour_garments(before, CODES, 0.0, default_rng(0)), before, atol=1e-6)
    half = recolour_garments(before, CODES, 0.5, default_rng(3))
    changed = ((half - before).abs().amax((1, 2, 3)) > 0.02).float().mean()
    assert 0.1 < float(changed) < 0.6
