"""Trains the embedder: batches of photographs and drawings, and their contrastive losses."""

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
from training.embedder.validation import Tokenize
from training.losses import multi_positive, nt_xent, supervised_contrastive
from training.mixup import mix_pairs
from training.photos.photos import Photos, sample_photos
from training.trainer import Schedule, Trainer


@dataclass(frozen=True, kw_only=True)
class EmbedderSchedule(Schedule):
    """The run's schedule and batch; sizes: (from this share of the run on, pixels a side).

    fold_in: the share of the run after which the validation photographs join the training;
    gentle_from: the share after which photographs are augmented less; mix_share: the share of steps
    whose photographs are mixed in pairs; label_weight: of the supervised contrastive loss, which
    colours and patterns would otherwise outweigh; view_weight: of the NT-Xent loss of two views of
    a garment; worn_weight: the sampling weight of worn garments, 1 for others.
    groups, instances: few groups of many instances, so that the network learns to distinguish
    garments that differ in cut alone.
    """

    photos: int = 80
    groups: int = 3
    instances: int = 6
    mix_share: float = 0.45
    label_weight: float = 4.0
    view_weight: float = 0.8
    worn_weight: float = 0.5
    fold_in: float = 0.7
    gentle_from: float = 0.8
    sizes: tuple[tuple[float, int], ...] = ((0.0, 72), (0.2, 88), (0.45, 96), (0.8, 128))

    def size_at(self, share: float) -> int:
        """The pictures' side after this share of the run."""
        return [pixels for start, pixels in self.sizes if share >= start][-1]


class EmbedderTrainer(Trainer):
    """Trains the embedder on photographs and drawings."""

    def __init__(
        self, network: Any, tokenize: Tokenize, photos: Photos, worn: int, validation: int,
        drawings: Drawings, schedule: EmbedderSchedule, seed: int,
    ) -> None:  # fmt: skip
        """photos: first `worn` worn garments, last `validation` photographs of that split."""
        super().__init__(network, schedule)
        self.schedule, self.drawings = schedule, drawings
        self._tokenize, self._photos, self._validation = tokenize, photos, validation
        self._rng, self._generator = default_rng(seed), torch.Generator().manual_seed(seed)
        self._traits = [
            Traits(label, colour, "", drawn=False)
            for label, colour in zip(photos.labels, photos.colours, strict=True)
        ]
        self._weights = np.array([photos.labels.count(label) ** -0.2 for label in photos.labels])
        self._weights[:worn] *= schedule.worn_weight

    def losses(self) -> dict[str, torch.Tensor]:
        """The losses of a batch of both sources."""
        size = self.schedule.size_at(self.share)
        rest = 0 if self.share >= self.schedule.fold_in else self._validation
        rows = sample_photos(self._weights, self.schedule.photos, self._rng, without_last=rest)
        drawn, drawn_traits = self.drawings.sample(
            self.schedule.groups, self.schedule.instances, self._rng
        )
        strength = PHOTO if self.share < self.schedule.gentle_from else GENTLE
        photographs = augment(self._photos.pixels[rows], size, strength, self._generator)
        drawings = augment(drawn, size, DRAWING, self._generator)
        photo_traits = [self._traits[row] for row in rows]
        n, half = len(rows), len(drawn_traits)
        if self._rng.random() < self.schedule.mix_share:
            photographs, other, share = mix_pairs(photographs, self._rng)
            vectors = self._encode(torch.cat([photographs, drawings]))
            losses = self._text_losses(vectors[n:], drawn_traits, 2 * drawn_traits)
            losses["mixed"] = self._mixed_loss(vectors[:n], photo_traits, other, share)
        else:
            vectors = self._encode(torch.cat([photographs, drawings]))
            losses = self._text_losses(
                vectors, photo_traits + drawn_traits, photo_traits + 2 * drawn_traits
            )
            labels = torch.tensor([KINDS.index(traits.kind) for traits in photo_traits])
            losses["label"] = self.schedule.label_weight * supervised_contrastive(
                vectors[:n], labels, 0.1
            )
        views = nt_xent(vectors[n : n + half], vectors[n + half :], 0.07)
        losses["view"] = self.schedule.view_weight * views
        return losses

    def _update_ema(self) -> None:
        with torch.no_grad():
            self.network.logit_scale.clamp_(max=float(np.log(50)))
        super()._update_ema()

    def _encode(self, pictures: torch.Tensor) -> torch.Tensor:
        """(n, 3, s, s) -> (n, dim) unit vectors, float32; bfloat16 inside takes half the time."""
        with torch.autocast("cpu", dtype=torch.bfloat16):
            vectors = self.network.train().encode_image(
                pictures.contiguous(memory_format=torch.channels_last)
            )
        return torch.nn.functional.normalize(vectors.float(), dim=-1)

    def _mixed_loss(
        self, vectors: torch.Tensor, traits: list[Traits], other: torch.Tensor, share: float
    ) -> torch.Tensor:
        """Mixed photographs against the nouns of both pictures, weighted by their shares."""
        captions = write_noun_captions(self._rng)
        texts = self.network.encode_text(self._tokenize([c.text for c in captions]), normalize=True)
        logits = self.network.logit_scale.exp() * vectors @ texts.T
        relation = torch.from_numpy(relate(traits, captions))
        first = multi_positive(logits, relation, 0.1)
        return share * first + (1.0 - share) * multi_positive(logits, relation[other], 0.1)

    def _text_losses(
        self, vectors: torch.Tensor, described: list[Traits], traits: list[Traits]
    ) -> dict[str, torch.Tensor]:
        """Pictures against nouns, colours and patterns alone, then against whole captions.

        vectors: (n, dim), one for each of `traits`; described: the pictures with a whole caption.
        """
        rng = self._rng
        groups = {
            "noun": write_noun_captions(rng), "colour": write_colour_captions(rng),
            "pattern": write_pattern_captions(rng),
            "caption": [write_caption(picture, rng) for picture in described],
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
