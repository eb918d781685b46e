"""Trains the parser: batches of all sources, the partial-label loss and the overlap loss."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.random import default_rng
from numpy.typing import NDArray

from models.segmenter.atr import CLOTHES, NAMES, Atr
from training.parser.augment import augment, normalise, paste
from training.photos.pseudo_labels import pseudo_label
from training.photos.street import SETS, Source
from training.trainer import Schedule, Trainer

_RARE = {
    Atr.HAT: 2.0,
    Atr.SUNGLASSES: 3.0,
    Atr.SKIRT: 1.5,
    Atr.DRESS: 1.5,
    Atr.BELT: 3.0,
    Atr.LEFT_SHOE: 1.5,
    Atr.RIGHT_SHOE: 1.5,
    Atr.LEFT_ARM: 1.3,
    Atr.RIGHT_ARM: 1.3,
    Atr.BAG: 1.5,
    Atr.SCARF: 2.5,
}
"""Weights of rare classes; the others have 1."""

Sizes = tuple[tuple[float, tuple[int, int]], ...]
"""(from this share of the run on, (height, width) of the pictures)."""
SIZES: Sizes = ((0.0, (144, 104)), (0.3, (192, 136)), (0.72, (224, 160)))
LARGE: Sizes = ((0.0, (192, 136)), (0.5, (256, 184)))
"""On a GPU, and for a network that starts from trained weights."""
_RECOLOURED = {"street": 0.5, "pseudo-labelled": 0.3}
"""The share of a source's pictures whose garments get other colours."""
_OVERLAP = 0.3
"""The weight of the overlap loss, beside 1 for the pixels' cross-entropy."""
RELABEL_EVERY = 0.2
"""The share of a run after which the EMA network's pseudo-labels replace the previous ones."""


@dataclass(frozen=True, kw_only=True)
class ParserSchedule(Schedule):
    """The run's schedule and batch.

    batch: pictures of a step, by source; strength: of the augmentation.
    """

    batch: dict[str, int]
    strength: float = 1.0
    learning_rate: float = 1.2e-3
    weight_decay: float = 0.05
    max_norm: float = 1.0
    beta2: float = 0.99
    warm_up: float = 0.03
    sizes: Sizes = SIZES

    def size_at(self, share: float) -> tuple[int, int]:
        """The pictures' height and width after this share of the run."""
        return [size for start, size in self.sizes if share >= start][-1]


def forbidden() -> torch.Tensor:
    """(codes, 18): added to logits, it excludes the classes that a code does not allow."""
    table = torch.full((len(SETS), len(NAMES)), -1e4)
    for code, classes in enumerate(SETS):
        table[code, sorted(classes)] = 0
    return table


class ParserTrainer(Trainer):
    """Trains the parser on all sources of pictures."""

    def __init__(
        self, network: Any, sources: dict[str, Source], schedule: ParserSchedule, seed: int,
        unlabelled: NDArray[np.uint8] | None = None,
    ) -> None:  # fmt: skip
        """unlabelled: photographs without a map, (n, h, w, 3): the source "pseudo-labelled"."""
        super().__init__(network, schedule)
        self.schedule = schedule
        self._sources, self._rng = sources, default_rng(seed)
        self._unlabelled, self._relabel_at = unlabelled, 0.0
        self._forbidden = forbidden().to(self.device)
        garments = sorted(CLOTHES)
        inside = torch.tensor([[classes == {one} for one in garments] for classes in SETS])
        certain = torch.tensor([[classes == {one} or one not in classes for one in garments]
                                for classes in SETS])  # fmt: skip
        self._garments = garments
        self._inside, self._certain = inside.to(self.device), certain.to(self.device)
        self._weight = torch.ones(len(SETS))
        for label, weight in _RARE.items():
            self._weight[label] = weight
        self._weight = self._weight.to(self.device)

    def losses(self) -> dict[str, torch.Tensor]:
        """The losses of a batch of all sources."""
        if self._unlabelled is not None and self.share >= self._relabel_at:
            size = self.schedule.sizes[-1][1]
            self._sources["pseudo-labelled"] = (
                self._unlabelled, pseudo_label(self.ema, self._unlabelled, size)
            )  # fmt: skip
            self._relabel_at += RELABEL_EVERY
        pictures, codes = self._batch(self.schedule.size_at(self.share))
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            logits = self.network.train()(
                pixel_values=normalise(pictures).contiguous(memory_format=torch.channels_last)
            ).logits
        half = codes[:, ::2, ::2]  # the loss is computed at half of the pictures' size
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
                augment(
                    pixels[rows], codes[rows], size, self._rng, strength, self.device,
                    _RECOLOURED.get(name, 0.0),
                )
            )  # fmt: skip
        pictures, codes_ = (torch.cat(parts) for parts in zip(*views, strict=True))
        self._paste_some(pictures, codes_)
        return pictures, codes_

    def _paste_some(self, pictures: torch.Tensor, codes: torch.Tensor) -> None:
        """Gives some drawn garments and people the background of a photograph, in place."""
        starts = np.cumsum([0, *self.schedule.batch.values()])
        ground = self._grounds(pictures.shape[2:])
        for (name, count), start in zip(self.schedule.batch.items(), starts[:-1], strict=True):
            odds = {"drawn": 0.6, "people": 0.4, "street": 0.15}.get(name, 0.0)
            for row in range(start, start + count):
                if self._rng.random() < odds:
                    paste(pictures, codes, ground, row, int(self._rng.integers(len(ground))))

    def _grounds(self, size: Any) -> torch.Tensor:
        """A few enlarged pieces from the edges of photographs, which show no garment."""
        pieces = []
        for name in ("street", "flat-lay"):
            pixels, codes = self._sources[name]
            for row in self._rng.integers(0, len(pixels), 2):
                h, w = codes.shape[1:]
                side = int(w * 0.22)
                top = int(self._rng.integers(0, h - side))
                left = int(self._rng.choice([0, w - side]))
                if name == "flat-lay":
                    side = int(w * 0.12)
                    top, left = (
                        int(self._rng.choice([0, h - side])),
                        int(self._rng.integers(0, w - side)),
                    )
                piece = torch.from_numpy(pixels[row, top : top + side, left : left + side].copy())
                piece = piece.to(self.device)
                pieces.append(
                    torch.nn.functional.interpolate(
                        piece.permute(2, 0, 1)[None].float() / 255, tuple(size), mode="bilinear"
                    )
                )
        return torch.cat(pieces)

    def _loss(self, logits: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """The negative log-likelihood that a pixel's class is one of those that its code allows."""
        allowed = (logits + self._forbidden[codes]).logsumexp(-1)
        weight = self._weight[codes]
        return ((logits.logsumexp(-1) - allowed) * weight).sum() / weight.sum()

    def _overlap_loss(self, logits: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """The mean over garment classes of 1 - soft IoU over the batch (Rahman and Wang, 2016).

        It penalises a garment that is split into two classes more than the pixels' loss does.
        """
        odds = logits.softmax(-1)[..., self._garments]
        inside, certain = self._inside[codes].float(), self._certain[codes].float()
        both = (odds * inside).sum((0, 1, 2))
        either = ((odds + inside - odds * inside) * certain).sum((0, 1, 2))
        return (1 - both / either.clamp(min=1.0)).mean()
