"""Batches for the parser: pictures and codes moved, mirrored, recoloured and pasted together."""

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from training.parser.reclothe import reclothe
from training.photos.street import MIRRORED_CODES

_MIRRORED = torch.from_numpy(MIRRORED_CODES.astype(np.int64))


def disturb(
    pixels: NDArray[np.uint8], codes: NDArray[np.uint8], size: tuple[int, int], rng: Generator,
    strength: float = 1.0, device: torch.device | str = "cpu", reclothed: float = 0.0,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """(n, h, w, 3) and (n, h, w) -> pictures (n, 3, *size) float32 in 0..1, codes (n, *size) int64.

    On the device. Every picture is mirrored or not, turned, scaled, moved and recoloured on its
    own. What comes in from outside repeats the edge. reclothed: the share of pictures whose
    garments take other colours, each its own.
    """
    n = len(pixels)
    picture = torch.from_numpy(np.ascontiguousarray(pixels)).to(device)
    picture = picture.permute(0, 3, 1, 2).float() / 255
    said = torch.from_numpy(np.ascontiguousarray(codes)).to(device).float()[:, None]
    flip = rng.random(n) < 0.5
    places = _affine(n, flip, pixels.shape[1] / pixels.shape[2], strength, rng).to(device)
    grid = torch.nn.functional.affine_grid(places, [n, 3, *size], align_corners=False)
    view = torch.nn.functional.grid_sample(
        picture, grid, "bilinear", padding_mode="border", align_corners=False
    )
    labels = torch.nn.functional.grid_sample(
        said, grid, "nearest", padding_mode="border", align_corners=False
    )[:, 0].long()
    mirrored = torch.from_numpy(flip).to(device)[:, None, None]
    labels = torch.where(mirrored, _MIRRORED.to(device)[labels], labels)
    if reclothed:
        view = reclothe(view, labels, reclothed, rng)
    return _pierce(recolour(view, strength, rng), strength, rng), labels


def normalise(pictures: torch.Tensor) -> torch.Tensor:
    """0..1 to what the network takes: -1..1, as the embedder whose encoder it has."""
    return (pictures - 0.5) / 0.5


def _affine(
    n: int, flip: NDArray[np.bool_], aspect: float, strength: float, rng: Generator
) -> torch.Tensor:
    """Where each output pixel looks, (n, 2, 3) float32 in affine_grid's coordinates."""
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
    """Light, contrast, colour cast and strength of colour of each picture (n, 3, h, w) in 0..1."""
    n = len(view)

    def each(low: float, high: float, channels: int = 1) -> torch.Tensor:
        drawn = rng.uniform(low, high, (n, channels, 1, 1)) * strength
        return torch.from_numpy(drawn.astype(np.float32)).to(view.device)

    grey = view.mean(1, keepdim=True)
    view = grey + (view - grey) * (1 + each(-0.6, 0.5))
    middle = view.mean((2, 3), keepdim=True)
    view = middle + (view - middle) * (1 + each(-0.35, 0.35))
    view = view * (1 + each(-0.12, 0.12, 3)) + each(-0.14, 0.14)
    view = view + torch.randn_like(view) * float(rng.uniform(0, 0.03))
    return view.clamp(0, 1)


def _pierce(view: torch.Tensor, strength: float, rng: Generator) -> torch.Tensor:
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
    """Cut picture `row`'s garments out and lay them on `ground[onto]`, in place.

    Only rows whose codes are exact: whatever isn't background is cut.
    """
    inside = (codes[row] != 0).float()[None, None]
    soft = torch.nn.functional.avg_pool2d(inside, 3, 1, 1)[0]
    pictures[row] = pictures[row] * soft + ground[onto] * (1 - soft)
