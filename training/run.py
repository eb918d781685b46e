"""One training run of the embedder: batches of both sources, losses, running average."""

import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import default_rng

from training.augment import DRAWING, GENTLE, PHOTO, augment
from training.captions import (
    KINDS,
    Traits,
    relate,
    write_caption,
    write_colour_captions,
    write_noun_captions,
    write_pattern_captions,
)
from training.drawings import Drawings
from training.losses import multi_positive, same_label, two_views
from training.mix import mix
from training.photos import Photos

Tokenize = Callable[[list[str]], torch.Tensor]


@dataclass(frozen=True)
class Schedule:
    """The run's length and batch; sizes: (from this share of the run on, pixels a side).

    minutes: of CPU time, so that a busy machine doesn't shorten the run;
    fold_in: the share of the run after which the validation photographs join the training;
    gentle: the share after which photographs are disturbed less; mix: the share of steps whose
    photographs are mixed in pairs; label: the weight of "same label, so alike", which colours and
    patterns would drown; worn: how often a worn garment is shown, beside 1 for others.
    Few groups of many instances: garments that differ in cut alone tell each other apart.
    """

    minutes: float
    photos: int = 80
    groups: int = 3
    instances: int = 6
    mix: float = 0.35
    label: float = 3.0
    worn: float = 0.5
    rate: float = 2e-3
    decay: float = 0.05
    average: float = 0.998
    fold_in: float = 0.7
    gentle: float = 0.8
    sizes: tuple[tuple[float, int], ...] = ((0.0, 72), (0.2, 88), (0.45, 96), (0.8, 128))

    def rate_at(self, share: float) -> float:
        """The learning rate after this share of the run: a short warm-up, then a cosine to zero."""
        warm_up = min(1.0, share / 0.04 + 0.02)
        return self.rate * warm_up * 0.5 * (1.0 + float(np.cos(np.pi * share)))

    def size_at(self, share: float) -> int:
        """The pictures' side after this share of the run."""
        return [pixels for start, pixels in self.sizes if share >= start][-1]


class Run:
    """The network, its running average, the optimiser and both sources of pictures."""

    def __init__(
        self, network: Any, tokenize: Tokenize, photos: Photos, worn: int, validation: int,
        drawings: Drawings, schedule: Schedule, seed: int,
    ) -> None:  # fmt: skip
        """`photos`: the first `worn` ones are worn garments, the last ones are validation's."""
        self.network = network.to(memory_format=torch.channels_last)
        self.average: Any = deepcopy(network).eval().requires_grad_(False)
        self.schedule, self.drawings = schedule, drawings
        self._tokenize, self._photos, self._validation = tokenize, photos, validation
        self._optimiser = _build_optimiser(network, schedule)
        self._rng, self._generator = default_rng(seed), torch.Generator().manual_seed(seed)
        self.steps, self.seconds = 0, 0.0
        self._traits = [
            Traits(label, colour, "", drawn=False)
            for label, colour in zip(photos.labels, photos.colours, strict=True)
        ]
        self._weights = np.array([photos.labels.count(label) ** -0.2 for label in photos.labels])
        self._weights[:worn] *= schedule.worn

    @property
    def share(self) -> float:
        """How much of the run is done, 0 to 1."""
        return min(1.0, self.seconds / 60 / self.schedule.minutes)

    def step(self) -> dict[str, float]:
        """One optimiser step; returns the parts of its loss."""
        started = time.process_time()
        for group in self._optimiser.param_groups:
            group["lr"] = self.schedule.rate_at(self.share)
        losses = self._losses(self.schedule.size_at(self.share))
        self._optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        self._optimiser.step()
        with torch.no_grad():
            self.network.logit_scale.clamp_(max=float(np.log(50)))
        self.steps += 1
        self._follow()
        self.seconds += time.process_time() - started
        return {name: float(loss.detach()) for name, loss in losses.items()}

    def keep(self, path: Path) -> None:
        """Save all that resuming needs."""
        state = {
            "network": self.network.state_dict(), "average": self.average.state_dict(),
            "optimiser": self._optimiser.state_dict(), "steps": self.steps, "seconds": self.seconds,
        }  # fmt: skip
        torch.save(state, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    def resume(self, path: Path) -> None:
        """Go on where `keep` left off."""
        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.steps, self.seconds = state["steps"], state["seconds"]

    def _follow(self) -> None:
        """Move the running average towards the network."""
        keep = min(self.schedule.average, (1 + self.steps) / (10 + self.steps))
        target = self.network.state_dict()
        for name, value in self.average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(target[name], 1.0 - keep)
            else:
                value.copy_(target[name])

    def _losses(self, size: int) -> dict[str, torch.Tensor]:
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
        losses["view"] = 0.5 * two_views(vectors[n : n + half], vectors[n + half :], 0.07)
        return losses

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


def _build_optimiser(network: Any, schedule: Schedule) -> torch.optim.Optimizer:
    """AdamW that decays matrices and kernels only."""
    parameters = list(network.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": schedule.decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=schedule.rate, betas=(0.9, 0.98))
