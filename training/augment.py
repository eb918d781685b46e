"""Random crops, rotations, flips, colour changes and erasing, for a whole batch at a time."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray


@dataclass(frozen=True)
class Strength:
    """The strength of an augmentation; light and tint are shares of the pixel value."""

    crop: float  # the smallest side of a crop, as a share of the side
    aspect: float
    turn: float  # degrees
    light: float
    tint: float
    erase: float  # the share of pictures that lose a rectangle


PHOTO = Strength(crop=0.6, aspect=0.2, turn=18.0, light=0.35, tint=0.08, erase=0.5)
# For the end of a run: objects of the size that they have in use.
GENTLE = Strength(crop=0.84, aspect=0.12, turn=10.0, light=0.25, tint=0.06, erase=0.1)
DRAWING = Strength(crop=0.84, aspect=0.06, turn=6.0, light=0.12, tint=0.03, erase=0.0)


def augment(
    pixels: NDArray[np.uint8], size: int, strength: Strength, generator: torch.Generator
) -> torch.Tensor:
    """(n, s, s, 3) uint8 RGB -> (n, 3, size, size) float32 in -1 to 1, channels last."""
    batch = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)
    grid = _random_grid(len(batch), size, strength, generator)
    warped = torch.nn.functional.grid_sample(
        batch, grid, padding_mode="reflection", align_corners=False
    )
    lit = _relight(warped, strength, generator)
    if strength.erase:
        _erase(lit, strength.erase, generator)
    return lit.contiguous(memory_format=torch.channels_last)


def _random(
    count: int, low: float, high: float, generator: torch.Generator, columns: int = 1
) -> torch.Tensor:
    """(count, columns, 1, 1) uniform numbers."""
    return torch.rand(count, columns, 1, 1, generator=generator) * (high - low) + low


def _random_grid(
    count: int, size: int, strength: Strength, generator: torch.Generator
) -> torch.Tensor:
    """Sampling grids of random crops, rotations and flips: (count, size, size, 2)."""

    def draw(low: float, high: float) -> torch.Tensor:
        return _random(count, low, high, generator).view(count)

    scale = draw(strength.crop, 1.04)
    stretch = torch.exp(draw(-strength.aspect, strength.aspect))
    wide, high = scale * stretch, scale / stretch
    angle = torch.deg2rad(draw(-strength.turn, strength.turn))
    mirror = torch.where(draw(0, 1) < 0.5, -1.0, 1.0)
    room_x, room_y = (1 - wide).clamp(min=0.0), (1 - high).clamp(min=0.0)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = wide * torch.cos(angle) * mirror, -high * torch.sin(angle)
    theta[:, 1, 0], theta[:, 1, 1] = wide * torch.sin(angle) * mirror, high * torch.cos(angle)
    theta[:, 0, 2], theta[:, 1, 2] = draw(-1, 1) * room_x, draw(-1, 1) * room_y
    return torch.nn.functional.affine_grid(theta, [count, 3, size, size], align_corners=False)


def _relight(batch: torch.Tensor, strength: Strength, generator: torch.Generator) -> torch.Tensor:
    """Random brightness, contrast, saturation and colour cast; the result stays in -1 to 1."""
    n = len(batch)
    light = _random(n, 1 - strength.light, 1 + strength.light, generator)
    cast = _random(n, 1 - strength.tint, 1 + strength.tint, generator, columns=3)
    contrast = _random(n, 1 - strength.light, 1 + strength.light * 0.6, generator)
    saturation = _random(n, 1 - strength.light, 1 + strength.light * 0.6, generator)
    lit = (batch + 1.0) * (light * cast) - 1.0
    grey = lit.mean(1, keepdim=True)
    lit = grey + (lit - grey) * saturation
    middle = grey.mean((2, 3), keepdim=True)
    return (middle + (lit - middle) * contrast).clamp_(-1.0, 1.0)


def _erase(batch: torch.Tensor, share: float, generator: torch.Generator) -> None:
    """Fills a random rectangle of some pictures with a random grey, in place."""
    size = batch.shape[-1]
    is_erased = torch.rand(len(batch), generator=generator) < share
    for row in is_erased.nonzero().flatten().tolist():
        corner = torch.rand(5, generator=generator).tolist()
        high, wide = (int(size * (0.12 + 0.25 * c)) for c in corner[:2])
        top, left = int(corner[2] * (size - high)), int(corner[3] * (size - wide))
        batch[row, :, top : top + high, left : left + wide] = corner[4] * 2.0 - 1.0
