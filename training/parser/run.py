"""One training run of the parser: batches of all sources, the partial-label loss, the average."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.random import default_rng
from numpy.typing import NDArray

from models.segmenter.atr import CLOTHES, NAMES
from training.parser.views import disturb, normalise, paste
from training.photos.street import SETS
from training.photos.street_guesses import guess_maps
from training.trainee import Pace, Trainee

Source = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Pixels (n, h, w, 3) uint8 RGB and codes (n, h, w) uint8."""

_RARE = {
    1: 2.0,
    3: 3.0,
    5: 1.5,
    7: 1.5,
    8: 3.0,
    9: 1.5,
    10: 1.5,
    14: 1.3,
    15: 1.3,
    16: 1.5,
    17: 2.5,
}
"""Weights of classes that few pixels have; 1 for the others."""

Sizes = tuple[tuple[float, tuple[int, int]], ...]
"""From which share of the run on the pictures have which (height, width)."""
SIZES: Sizes = ((0.0, (144, 104)), (0.3, (192, 136)), (0.72, (224, 160)))
LARGE: Sizes = ((0.0, (192, 136)), (0.5, (256, 184)))
"""On a GPU, and for a network that has learnt before."""
_RECLOTHED = {"street": 0.5, "guessed": 0.3}
"""The share of a source's pictures whose garments take other colours."""
_OVERLAP = 0.3
"""How much the garments' overlap counts beside the likelihood of each pixel's class."""
GUESS_AGAIN = 0.2
"""The share of a run after which the average network's guesses replace the last ones."""


@dataclass(frozen=True, kw_only=True)
class Schedule(Pace):
    """Length and batch.

    batch: pictures a step by source; strength: how much pictures are moved and recoloured.
    """

    batch: dict[str, int]
    strength: float = 1.0
    rate: float = 1.2e-3
    decay: float = 0.05
    clip: float = 1.0
    memory: float = 0.99
    warm_up: float = 0.03
    sizes: Sizes = SIZES

    def size_at(self, share: float) -> tuple[int, int]:
        """The pictures' height and width after this share of the run."""
        return [size for start, size in self.sizes if share >= start][-1]


def forbidden() -> torch.Tensor:
    """(codes, 18): what to add to logits so that only the classes that a code allows count."""
    table = torch.full((len(SETS), len(NAMES)), -1e4)
    for code, classes in enumerate(SETS):
        table[code, sorted(classes)] = 0
    return table


class Run(Trainee):
    """The network, its running average, the optimiser and all sources of pictures."""

    def __init__(
        self, network: Any, sources: dict[str, Source], schedule: Schedule, seed: int,
        unknown: NDArray[np.uint8] | None = None,
    ) -> None:  # fmt: skip
        """unknown: photographs without a map, (n, h, w, 3); the source "guessed" is theirs."""
        super().__init__(network, schedule)
        self.schedule = schedule
        self._sources, self._rng = sources, default_rng(seed)
        self._unknown, self._guess_at = unknown, 0.0
        self._forbidden = forbidden().to(self.device)
        garments = sorted(CLOTHES)
        inside = torch.tensor([[each == {one} for one in garments] for each in SETS])
        known = torch.tensor([[each == {one} or one not in each for one in garments]
                              for each in SETS])  # fmt: skip
        self._garments = garments
        self._inside, self._known = inside.to(self.device), known.to(self.device)
        self._weight = torch.ones(len(SETS))
        for number, weight in _RARE.items():
            self._weight[number] = weight
        self._weight = self._weight.to(self.device)

    def losses(self) -> dict[str, torch.Tensor]:
        """Of a batch of all sources."""
        if self._unknown is not None and self.share >= self._guess_at:
            size = self.schedule.sizes[-1][1]
            self._sources["guessed"] = (
                self._unknown, guess_maps(self.average, self._unknown, size)
            )  # fmt: skip
            self._guess_at += GUESS_AGAIN
        pictures, codes = self._batch(self.schedule.size_at(self.share))
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            logits = self.network.train()(
                pixel_values=normalise(pictures).contiguous(memory_format=torch.channels_last)
            ).logits
        half = codes[:, ::2, ::2]  # at half of the pictures' size: every second pixel's code counts
        logits = torch.nn.functional.interpolate(
            logits.float(), tuple(half.shape[1:]), mode="bilinear", align_corners=False
        ).permute(0, 2, 3, 1)
        return {
            "parse": self._loss(logits, half),
            "overlap": _OVERLAP * self._overlap_loss(logits, half),
        }

    def _batch(self, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
        views = []
        for name, count in self.schedule.batch.items():
            pixels, codes = self._sources[name]
            rows = self._rng.integers(0, len(pixels), count)
            strength = self.schedule.strength
            views.append(
                disturb(
                    pixels[rows], codes[rows], size, self._rng, strength, self.device,
                    _RECLOTHED.get(name, 0.0),
                )
            )  # fmt: skip
        pictures, codes_ = (torch.cat(parts) for parts in zip(*views, strict=True))
        self._paste_some(pictures, codes_)
        return pictures, codes_

    def _paste_some(self, pictures: torch.Tensor, codes: torch.Tensor) -> None:
        """Half of the drawn garments, and people now and then, get the ground of a photograph."""
        starts = np.cumsum([0, *self.schedule.batch.values()])
        ground = self._grounds(pictures.shape[2:])
        for (name, count), start in zip(self.schedule.batch.items(), starts[:-1], strict=True):
            odds = {"drawn": 0.6, "people": 0.4, "street": 0.15}.get(name, 0.0)
            for row in range(start, start + count):
                if self._rng.random() < odds:
                    paste(pictures, codes, ground, row, int(self._rng.integers(len(ground))))

    def _grounds(self, size: Any) -> torch.Tensor:
        """A few pieces of photographs that show no garment: their rims, enlarged."""
        found = []
        for name in ("street", "lying"):
            pixels, codes = self._sources[name]
            for row in self._rng.integers(0, len(pixels), 2):
                h, w = codes.shape[1:]
                side = int(w * 0.22)
                top = int(self._rng.integers(0, h - side))
                left = int(self._rng.choice([0, w - side]))
                if name == "lying":
                    side = int(w * 0.12)
                    top, left = (
                        int(self._rng.choice([0, h - side])),
                        int(self._rng.integers(0, w - side)),
                    )
                piece = torch.from_numpy(pixels[row, top : top + side, left : left + side].copy())
                piece = piece.to(self.device)
                found.append(
                    torch.nn.functional.interpolate(
                        piece.permute(2, 0, 1)[None].float() / 255, tuple(size), mode="bilinear"
                    )
                )
        return torch.cat(found)

    def _loss(self, logits: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """Minus the log of the probability that a pixel's class is one of its allowed ones."""
        allowed = (logits + self._forbidden[codes]).logsumexp(-1)
        weight = self._weight[codes]
        return ((logits.logsumexp(-1) - allowed) * weight).sum() / weight.sum()

    def _overlap_loss(self, logits: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """One minus the soft IoU of each kind of garment over the batch, their mean (Rahman and
        Wang, 2016): a garment of two classes costs more than its pixels say.
        """
        odds = logits.softmax(-1)[..., self._garments]
        inside, known = self._inside[codes].float(), self._known[codes].float()
        both = (odds * inside).sum((0, 1, 2))
        either = ((odds + inside - odds * inside) * known).sum((0, 1, 2))
        return (1 - both / either.clamp(min=1.0)).mean()
