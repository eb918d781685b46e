"""Augmentation: gives each garment of a photograph another colour of its own."""

import numpy as np
import torch
from numpy.random import Generator

from models.segmenter.atr import GARMENTS, SHOES
from training.photos.street import EITHER_SHOE, SETS

_PIECES = [*sorted(GARMENTS - SHOES), EITHER_SHOE]
_ODDS = 0.45
"""The probability that a garment of a picture that is recoloured changes its colour."""
_DARKEST, _LIGHTEST = 0.04, 0.93


def recolour_garments(
    view: torch.Tensor, codes: torch.Tensor, share: float, rng: Generator
) -> torch.Tensor:
    """Recolours garments in pictures (n, 3, h, w) in 0..1 with codes (n, h, w).

    In `share` of the pictures, some garments get another mean colour, which differs mostly in
    brightness and a little in hue; the contrast of their folds scales with the brightness, as on
    real cloth. Edges are softened, so that the network can't learn labels from sharp borders.
    """
    n, kinds = len(view), len(SETS)
    flat = codes.flatten(1)[..., None].expand(-1, -1, 3)
    pixels = view.flatten(2).transpose(1, 2)
    blank = view.new_zeros(n, kinds, 3)
    count = blank.scatter_add(1, flat, torch.ones_like(pixels))
    mean = blank.scatter_add(1, flat, pixels) / count.clamp(min=1)

    is_changed = np.zeros((n, kinds, 1), bool)
    is_changed[:, _PIECES] = rng.random((n, len(_PIECES), 1)) < _ODDS
    is_changed &= rng.random((n, 1, 1)) < share
    move = rng.normal(0, 0.3, (n, kinds, 1)) + rng.normal(0, 0.06, (n, kinds, 3))
    power = rng.uniform(0.3, 1.0, (n, kinds, 1))
    changes, moves, powers = (
        torch.from_numpy(part).to(view.device, view.dtype) for part in (is_changed, move, power)
    )
    target = (mean + moves).clamp(_DARKEST, _LIGHTEST)
    gain = (target.mean(-1, keepdim=True) / mean.mean(-1, keepdim=True).clamp(min=_DARKEST)) ** (
        powers
    )
    gain = 1 + changes * (gain.clamp(0.3, 3.0) - 1)
    shift = changes * (target - mean * gain)
    change = torch.cat([gain, shift], -1).gather(1, codes.flatten(1)[..., None].expand(-1, -1, 4))
    maps = change.transpose(1, 2).reshape(n, 4, *view.shape[2:])
    maps = torch.nn.functional.avg_pool2d(maps, 3, 1, 1, count_include_pad=False)
    return (view * maps[:, :1] + maps[:, 1:]).clamp(0, 1)
