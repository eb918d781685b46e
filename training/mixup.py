"""Mixes pictures of a batch in pairs, as a regularisation for small data sets."""

import torch
from numpy.random import Generator


def mix_pairs(pictures: torch.Tensor, rng: Generator) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Blends each picture with another of the batch, or pastes a rectangle of that one into it.

    Follows mixup (Zhang et al., 2017) and CutMix (Yun et al., 2019), each with probability 0.5.
    pictures: (n, 3, s, s) float32. Returns the mixed pictures, the other picture of each as (n,)
    int64, and the share of each picture's own label.
    """
    other = torch.from_numpy(rng.permutation(len(pictures)))
    if rng.random() < 0.5:
        share = float(rng.beta(0.4, 0.4))
        return pictures * share + pictures[other] * (1.0 - share), other, share
    size = pictures.shape[-1]
    side = int(size * float(rng.random()) ** 0.5)
    top, left = (int(rng.integers(0, size - side + 1)) for _ in range(2))
    mixed = pictures.clone()
    area = (..., slice(top, top + side), slice(left, left + side))
    mixed[area] = pictures[other][area]
    return mixed, other, 1.0 - (side / size) ** 2
