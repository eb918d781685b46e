"""Pictures in SAM's input format, unsquashed and padded to a square, with augmentation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.random import Generator

from models.segmenter.sam_checkpoint import pixel_statistics
from training.parser.augment import recolour
from training.photos.street import MIRRORED_CODES, Source

ASPECTS: dict[str, float] = {
    "street": 0.667, "validation": 0.667, "people": 0.719, "drawn": 1.0, "flat-lay": 0.75,
}  # fmt: skip
"""The aspect ratio of the pictures before they were squashed to their size in memory."""
_SHAPES: tuple[tuple[float, float, float], ...] = (
    (1.0, 0.667, 0.45), (1.0, 0.75, 0.2), (1.0, 1.0, 0.2), (0.75, 1.0, 0.08), (1.0, 0.5, 0.07),
)  # fmt: skip
"""Height and width of views as shares of the square, and their probabilities."""


@dataclass(frozen=True)
class ViewBatch:
    """A batch of views.

    pictures: (n, 3, side, side) float32 as `SamModel.preprocess` returns them; codes: (n, side,
    side) int64; inner: (height, width) of the pictures without padding.
    """

    pictures: torch.Tensor
    codes: torch.Tensor
    inner: tuple[int, int]


class Views:
    """The pictures of all sources on the device; returns batches of views of them."""

    def __init__(
        self, sources: Mapping[str, Source], side: int, device: torch.device | str
    ) -> None:
        self._pictures = {
            name: tuple(
                torch.from_numpy(np.ascontiguousarray(array)).to(device) for array in source
            )
            for name, source in sources.items()
        }
        self._side, self._device = side, device
        self._mirrored = torch.from_numpy(MIRRORED_CODES.astype(np.int64)).to(device)
        self.sizes = {name: len(pixels) for name, (pixels, _) in sources.items()}

    def draw(self, batch: Mapping[str, int], rng: Generator) -> ViewBatch:
        """A random batch with `batch[name]` pictures of each source, each augmented on its own."""
        odds = [share for *_, share in _SHAPES]
        height, width, _ = _SHAPES[int(rng.choice(len(_SHAPES), p=odds))]
        inner = (round(self._side * height), round(self._side * width))
        pairs = []
        for name, count in batch.items():
            rows, aspect = rng.integers(0, self.sizes[name], count), ASPECTS[name]
            flip = rng.random(count) < 0.5
            places = _random_places(count, flip, aspect, inner[1] / inner[0], rng)
            pictures, codes = self._look(name, rows, places, inner)
            flipped = torch.from_numpy(flip).to(self._device)[:, None, None]
            pairs.append((pictures, torch.where(flipped, self._mirrored[codes], codes)))
        pictures, codes = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        return self._pad(recolour(pictures, 1.0, rng), codes, inner)

    def whole(self, name: str, rows: Any) -> ViewBatch:
        """The pictures at these rows without augmentation, as in use."""
        aspect = ASPECTS[name]
        inner = (round(self._side * min(1.0, 1 / aspect)), round(self._side * min(1.0, aspect)))
        places = np.tile(np.eye(2, 3, dtype=np.float32), (len(rows), 1, 1))
        return self._pad(*self._look(name, np.asarray(rows), places, inner), inner)

    def _look(
        self, name: str, rows: Any, places: Any, inner: tuple[int, int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Pictures (n, 3, *inner) in 0..1 and codes (n, *inner), sampled at the affine maps."""
        row_tensor = torch.from_numpy(rows).to(self._device)
        pixels, code_map = (tensor[row_tensor] for tensor in self._pictures[name])
        grid = torch.nn.functional.affine_grid(
            torch.from_numpy(places).to(self._device), [len(rows), 3, *inner], align_corners=False
        )
        pictures = torch.nn.functional.grid_sample(
            pixels.permute(0, 3, 1, 2).float() / 255, grid, "bilinear", "border", False
        )
        codes = torch.nn.functional.grid_sample(
            code_map[:, None].float(), grid, "nearest", "border", False
        )
        return pictures, codes[:, 0].long()

    def _pad(
        self, pictures: torch.Tensor, codes: torch.Tensor, inner: tuple[int, int]
    ) -> ViewBatch:
        """Normalises by SAM's statistics, then pads with zeros on the right and below."""
        mean, std = (torch.from_numpy(values).to(self._device)[:, None, None] / 255
                     for values in pixel_statistics())  # fmt: skip
        room = (0, self._side - inner[1], 0, self._side - inner[0])
        padded = torch.nn.functional.pad((pictures - mean) / std, room)
        return ViewBatch(padded, torch.nn.functional.pad(codes, room), inner)


def _random_places(n: int, flip: Any, own: float, target: float, rng: Generator) -> Any:
    """Random affine maps from view to picture, (n, 2, 3) float32 as `affine_grid` takes them.

    own, target: the aspect ratios of pictures and views. Lengths are in halves of the picture's
    height: without rotation a view is 2 * tall high and 2 * tall * target wide.
    """
    crops, holds = min(1.0, own / target), max(1.0, own / target)
    tall = np.where(rng.random(n) < 0.7, crops, holds) * np.exp(rng.uniform(-0.5, 0.08, n))
    stretch = np.exp(rng.uniform(-0.06, 0.06, n))
    angle = np.radians(rng.normal(0, 6, n))
    c, s = np.cos(angle) * tall, np.sin(angle) * tall
    sign = np.where(flip, -1.0, 1.0)
    room_x, room_y = np.abs(own - tall * target) / own + 0.04, np.abs(1 - tall) + 0.04
    dx, dy = rng.uniform(-1, 1, n) * room_x, rng.uniform(-1, 1, n) * room_y
    rows = np.stack([
        np.stack([c * target * stretch * sign / own, -s / own, dx], 1),
        np.stack([s * target * sign, c / stretch, dy], 1),
    ], 1)  # fmt: skip
    return rows.astype(np.float32)
