"""One training run of the embedder: batches of both sources, losses, running average."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.random import default_rng

from drawing.captions import (
    KINDS,
    Traits,
    relate,
    write_caption,
    write_colour_captions,
    write_noun_captions,
    write_pattern_captions,
)
from training.augment import DRAWING, GENTLE, PHOTO, augment
from training.embedder.drawings import Drawings
from training.losses import multi_positive, same_label, two_views
from training.mix import mix
from training.photos.photos import Photos
from training.trainee import Pace, Trainee

Tokenize = Callable[[list[str]], torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Schedule(Pace):
    """The run's length and batch; sizes: (from this share of the run on, pixels a side).

    fold_in: the share of the run after which the validation photographs join the training;
    gentle: the share after which photographs are disturbed less; mix: the share of steps whose
    photographs are mixed in pairs; label: the weight of "same label, so alike", which colours and
    patterns would drown; view: the weight of "the same garment in another view"; worn: how often
    a worn garment is shown, beside 1 for others.
    Few groups of many instances: garments that differ in cut alone tell each other apart.
    """

    photos: int = 80
    groups: int = 3
    instances: int = 6
    mix: float = 0.45
    label: float = 4.0
    view: float = 0.8
    worn: float = 0.5
    fold_in: float = 0.7
    gentle: float = 0.8
    sizes: tuple[tuple[float, int], ...] = ((0.0, 72), (0.2, 88), (0.45, 96), (0.8, 128))

    def size_at(self, share: float) -> int:
        """The pictures' side after this share of the run."""
        return [pixels for start, pixels in self.sizes if share >= start][-1]


class Run(Trainee):
    """The network, its running average, the optimiser and both sources of pictures."""

    def __init__(
        self, network: Any, tokenize: Tokenize, photos: Photos, worn: int, validation: int,
        drawings: Drawings, schedule: Schedule, seed: int,
    ) -> None:  # fmt: skip
        """`photos`: the first `worn` ones are worn garments, the last ones are validation's."""
        super().__init__(network, schedule)
        self.schedule, self.drawings = schedule, drawings
        self._tokenize, self._photos, self._validation = tokenize, photos, validation
        self._rng, self._generator = default_rng(seed), torch.Generator().manual_seed(seed)
        self._traits = [
            Traits(label, colour, "", drawn=False)
            for label, colour in zip(photos.labels, photos.colours, strict=True)
        ]
        self._weights = np.array([photos.labels.count(label) ** -0.2 for label in photos.labels])
        self._weights[:worn] *= schedule.worn

    def losses(self) -> dict[str, torch.Tensor]:
        """Of a batch of both sources, by what is asked of its vectors."""
        size = self.schedule.size_at(self.share)
        rows = self._choose_photos()
        drawn, drawn_traits = self.drawings.sample(
            self.schedule.groups, self.schedule.instances, self._rng
        )
        strength = PHOTO if self.share < self.schedule.gentle else GENTLE
        photographs = augment(self._photos.pixels[rows], size, strength, self._generator)
        drawings = augment(drawn, size, DRAWING, self._generator)
        seen = [self._traits[row] for row in rows]
        n, half = len(rows), len(drawn_traits)
        if self._rng.random() < self.schedule.mix:
            photographs, other, share = mix(photographs, self._rng)
            vectors = self._encode(torch.cat([photographs, drawings]))
            losses = self._text_losses(vectors[n:], drawn_traits, 2 * drawn_traits)
            losses["mixed"] = self._mixed_loss(vectors[:n], seen, other, share)
        else:
            vectors = self._encode(torch.cat([photographs, drawings]))
            losses = self._text_losses(vectors, seen + drawn_traits, seen + 2 * drawn_traits)
            labels = torch.tensor([KINDS.index(each.kind) for each in seen])
            losses["label"] = self.schedule.label * same_label(vectors[:n], labels, 0.1)
        views = two_views(vectors[n : n + half], vectors[n + half :], 0.07)
        losses["view"] = self.schedule.view * views
        return losses

    def _follow(self) -> None:
        with torch.no_grad():
            self.network.logit_scale.clamp_(max=float(np.log(50)))
        super()._follow()

    def _encode(self, pictures: torch.Tensor) -> torch.Tensor:
        """(n, 3, s, s) -> (n, dim) unit vectors, float32; half the time of float32 throughout."""
        with torch.autocast("cpu", dtype=torch.bfloat16):
            vectors = self.network.train().encode_image(
                pictures.contiguous(memory_format=torch.channels_last)
            )
        return torch.nn.functional.normalize(vectors.float(), dim=-1)

    def _mixed_loss(
        self, vectors: torch.Tensor, seen: list[Traits], other: torch.Tensor, share: float
    ) -> torch.Tensor:
        """Mixed photographs against the nouns of both their halves, by their shares."""
        captions = write_noun_captions(self._rng)
        texts = self.network.encode_text(self._tokenize([c.text for c in captions]), normalize=True)
        logits = self.network.logit_scale.exp() * vectors @ texts.T
        relation = torch.from_numpy(relate(seen, captions))
        first = multi_positive(logits, relation, 0.1)
        return share * first + (1.0 - share) * multi_positive(logits, relation[other], 0.1)

    def _choose_photos(self) -> list[int]:
        """A batch that evens the labels out a little; validation's rows are the last ones."""
        weights = self._weights.copy()
        if self.share < self.schedule.fold_in:
            weights[len(weights) - self._validation :] = 0.0
        odds = weights / weights.sum()
        rows = self._rng.choice(len(weights), self.schedule.photos, replace=False, p=odds)
        return [int(row) for row in rows]

    def _text_losses(
        self, vectors: torch.Tensor, described: list[Traits], traits: list[Traits]
    ) -> dict[str, torch.Tensor]:
        """Pictures against nouns, colours and patterns alone, then against whole captions.

        vectors: (n, dim), one for each of `traits`; described: what gets a whole caption.
        """
        rng = self._rng
        groups = {
            "noun": write_noun_captions(rng), "colour": write_colour_captions(rng),
            "pattern": write_pattern_captions(rng),
            "caption": [write_caption(each, rng) for each in described],
        }  # fmt: skip
        captions = [caption for group in groups.values() for caption in group]
        tokens = self._tokenize([caption.text for caption in captions])
        texts = self.network.encode_text(tokens, normalize=True)
        relation = torch.from_numpy(relate(traits, captions))
        logits = self.network.logit_scale.exp() * vectors @ texts.T
        losses, start = {}, 0
        for name, group in groups.items():
            part = slice(start, start + len(group))
            start += len(group)
            weight, smoothing = {"noun": (1.0, 0.1), "caption": (0.5, 0.0)}.get(name, (0.3, 0.02))
            losses[name] = weight * multi_positive(logits[:, part], relation[:, part], smoothing)
        losses["picture"] = 0.5 * multi_positive(logits.T, relation.T)
        return losses
