"""Augmentation for the parser: pictures and codes are moved, mirrored, recoloured and pasted."""

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from training.parser.recolour_garments import recolour_garments
from training.photos.street import MIRRORED_CODES

_MIRRORED = torch.from_numpy(MIRRORED_CODES.astype(np.int64))


def augment(
    pixels: NDArray[np.uint8], codes: NDArray[np.uint8], size: tuple[int, int], rng: Generator,
    strength: float = 1.0, device: torch.device | str = "cpu", recoloured: float = 0.0,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """(n, h, w, 3) and (n, h, w) -> pictures (n, 3, *size) float32 in 0..1, codes (n, *size) int64.

    On the device. Every picture is flipped, rotated, scaled, moved and recoloured independently.
    Areas outside of the picture repeat its edge. recoloured: the share of pictures whose garments
    get other colours; see `recolour_garments`.
    """
    n = len(pixels)
    picture = torch.from_numpy(np.ascontiguousarray(pixels)).to(device)
    picture = picture.permute(0, 3, 1, 2).float() / 255
    code_map = torch.from_numpy(np.ascontiguousarray(codes)).to(device).float()[:, None]
    flip = rng.random(n) < 0.5
    places = _affine(n, flip, pixels.shape[1] / pixels.shape[2], strength, rng).to(device)
    grid = torch.nn.functional.affine_grid(places, [n, 3, *size], align_corners=False)
    view = torch.nn.functional.grid_sample(
        picture, grid, "bilinear", padding_mode="border", align_corners=False
    )
    labels = torch.nn.functional.grid_sample(
        code_map, grid, "nearest", padding_mode="border", align_corners=False
    )[:, 0].long()
    mirrored = torch.from_numpy(flip).to(device)[:, None, None]
    labels = torch.where(mirrored, _MIRRORED.to(device)[labels], labels)
    if recoloured:
        view = recolour_garments(view, labels, recoloured, rng)
    return _erase(recolour(view, strength, rng), strength, rng), labels


def normalise(pictures: torch.Tensor) -> torch.Tensor:
    """0..1 -> -1..1, the input range of the embedder's encoder."""
    return (pictures - 0.5) / 0.5


def _affine(
    n: int, flip: NDArray[np.bool_], aspect: float, strength: float, rng: Generator
) -> torch.Tensor:
    """Random affine maps from output to input pixels, (n, 2, 3) float32 for `affine_grid`."""
    scale = np.exp(rng.uniform(-0.35, 0.22, n) * strength)  # below 1: closer
    stretch = np.exp(rng.uniform(-0.12, 0.12, n) * strength)
    angle = np.radians(rng.normal(0, 7, n) * strength)
    c, s = np.cos(angle) * scale, np.sin(angle) * scale
    sign = np.where(flip, -1.0, 1.0)
    room = np.abs(1 - scale) + 0.06
    dx, dy = rng.uniform(-1, 1, n) * room, rng.uniform(-1, 1, n) * room
    rows = np.stack([
        np.stack([c * stretch * sign, -s * aspect, dx], 1),
        np.stack([s / aspect * sign, c / stretch, dy], 1),
    ], 1)  # fmt: skip
    return torch.from_numpy(rows.astype(np.float32))


def recolour(view: torch.Tensor, strength: float, rng: Generator) -> torch.Tensor:
    """Random saturation, contrast, colour cast and brightness of pictures (n, 3, h, w) in 0..1."""
    n = len(view)

    def random(low: float, high: float, channels: int = 1) -> torch.Tensor:
        factors = rng.uniform(low, high, (n, channels, 1, 1)) * strength
        return torch.from_numpy(factors.astype(np.float32)).to(view.device)

    grey = view.mean(1, keepdim=True)
    view = grey + (view - grey) * (1 + random(-0.6, 0.5))
    middle = view.mean((2, 3), keepdim=True)
    view = middle + (view - middle) * (1 + random(-0.35, 0.35))
    view = view * (1 + random(-0.12, 0.12, 3)) + random(-0.14, 0.14)
    view = view + torch.randn_like(view) * float(rng.uniform(0, 0.03))
    return view.clamp(0, 1)


def _erase(view: torch.Tensor, strength: float, rng: Generator) -> torch.Tensor:
    """A grey rectangle over some pictures, in place."""
    for at in np.flatnonzero(rng.random(len(view)) < 0.35 * strength):
        h, w = (int(side * rng.uniform(0.08, 0.28)) for side in view.shape[2:])
        top, left = (int(rng.integers(0, full - part)) for full, part in
                     zip(view.shape[2:], (h, w), strict=True))  # fmt: skip
        view[at, :, top : top + h, left : left + w] = float(rng.random())
    return view


def paste(
    pictures: torch.Tensor, codes: torch.Tensor, ground: torch.Tensor, row: int, onto: int
) -> None:
    """Replaces the background of picture `row` by `ground[onto]`, in place.

    Only for rows with exact codes: everything that isn't background is kept.
    """
    inside = (codes[row] != 0).float()[None, None]
    soft = torch.nn.functional.avg_pool2d(inside, 3, 1, 1)[0]
    pictures[row] = pictures[row] * soft + ground[onto] * (1 - soft)
