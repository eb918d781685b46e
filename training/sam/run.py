"""One training run of SAM: views of all sources, two kinds of prompts on each, and the loss."""

from collections.abc import Mapping
from typing import Any

import torch
from numpy.random import default_rng

from training.sam.prompts import Groups, Layout, Prompts, Wanted, make_prompts
from training.sam.views import Views
from training.trainee import Pace, Trainee

REFINING = Layout(box=True, guess=True)
"""What the segmenter asks where only a target is named."""
ASKED: tuple[tuple[Layout, float], ...] = (
    (Layout(inside=1), 0.3), (Layout(inside=2, outside=1), 0.15), (Layout(box=True), 0.2),
    (Layout(inside=1, outside=1, box=True), 0.1), (Layout(1, 0, box=True, guess=True), 0.15),
    (Layout(2, 1, box=True, guess=True), 0.1),
)  # fmt: skip
"""What callers' points and boxes become, and how often."""


class SamRun(Trainee):
    """Half of the prompts refine a parser's mask, half are callers' own."""

    def __init__(
        self, network: Any, views: Views, pace: Pace, batch: Mapping[str, int], prompts: int,
        seed: int,
    ) -> None:  # fmt: skip
        super().__init__(network, pace)
        self._views, self._batch, self._each = views, batch, max(1, prompts // 2)
        self._groups, self._rng = Groups(self.device), default_rng(seed)

    def losses(self) -> dict[str, torch.Tensor]:
        """Of the masks and of the IoU that is foretold for them."""
        with torch.no_grad():
            view = self._views.draw(self._batch, self._rng)
        planes = encode(self.network, view.pictures)
        asked = ASKED[int(self._rng.choice(len(ASKED), p=[share for _, share in ASKED]))][0]
        total: dict[str, torch.Tensor] = {}
        for name, layout in (("refine", REFINING), ("ask", asked)):
            with torch.no_grad():
                wanted = self._groups.choose(view.codes, view.inner, self._each)
                prompts = make_prompts(wanted, layout)
            logits, ious = decode(self.network, planes, prompts)
            several = layout == Layout(inside=1)
            total[name], foretold = mask_loss(logits, ious, wanted, prompts.fine, several)
            total[f"{name} iou"] = foretold
        return total


def encode(network: Any, pictures: torch.Tensor) -> torch.Tensor:
    """(n, 3, side, side) as `SamModel.preprocess` makes them -> (n, prompt_width, s, s) float32."""
    with torch.autocast(pictures.device.type, dtype=torch.bfloat16):
        planes: torch.Tensor = network.image_encoder(pictures)
    return planes.float()


def decode(
    network: Any, planes: torch.Tensor, prompts: Prompts
) -> tuple[torch.Tensor, torch.Tensor]:
    """All m prompts on n pictures, m / n on each -> logits (m, 4, 4s, 4s) and IoUs (m, 4)."""
    encoder, each = network.prompt_encoder, len(prompts.points) // len(planes)
    if prompts.guess is None:
        dense = encoder.no_mask_embed.weight.view(1, -1, 1, 1)
    else:
        dense = encoder._embed_masks(prompts.guess)
    # The package's decoder repeats one picture for all prompts. Here each prompt has its own, which
    # comes in by the dense prompt, to which the package adds the picture.
    found: tuple[torch.Tensor, torch.Tensor] = network.mask_decoder.predict_masks(
        planes.new_zeros(1, 1, 1, 1), encoder.get_dense_pe(),
        embed_points(encoder, prompts.points, prompts.labels),
        planes.repeat_interleave(each, 0) + dense,
    )  # fmt: skip
    return found


def embed_points(encoder: Any, points: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """What the package's prompt encoder gives, boxes among the points, without a look at labels
    that would make a GPU wait: (m, k, 2) and (m, k) -> (m, k, prompt_width).
    """
    places = encoder.pe_layer.forward_with_coords(points + 0.5, encoder.input_image_size)
    kinds = [encoder.not_a_point_embed.weight, *(e.weight for e in encoder.point_embeddings)]
    embedded: torch.Tensor = places * (labels >= 0)[..., None] + torch.cat(kinds)[labels + 1]
    return embedded


def mask_loss(
    logits: torch.Tensor, ious: torch.Tensor, wanted: Wanted, fine: torch.Tensor, several: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy and dice, and the square error of the foretold IoU.

    several: a lone point leaves open what is meant, so that the best of the three further masks
    learns, beside the first.
    """
    by = wanted.masks.shape[-1] // logits.shape[-1]
    truth, counts = (torch.nn.functional.avg_pool2d(each, by)
                     for each in (wanted.masks, wanted.counts))  # fmt: skip
    if not several:
        logits, ious = logits[:, :1], ious[:, :1]
    found = logits.sigmoid() * counts
    dice = 1 - (2 * (found * truth).sum((2, 3)) + 1) / (
        found.sum((2, 3)) + truth.sum((2, 3)) + 1
    )  # fmt: skip
    cross = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, truth.expand_as(logits), counts.expand_as(logits), reduction="none"
    ).mean((2, 3))
    each = 2 * cross + dice
    loss = each[:, 0] + each[:, 1:].amin(1) if several else each[:, 0]
    known = fine * (counts.mean((1, 2, 3)) > 0.97 * inner_share(wanted))
    off = (ious - true_iou(logits, truth, counts)).square().mean(1)
    return _mean(loss, fine), _mean(off, known)


def true_iou(logits: torch.Tensor, truth: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """(m, c, s, s) against (m, 1, s, s), where it counts: (m, c)."""
    hard, said, counted = logits.detach() > 0, truth > 0.5, counts > 0.5
    both, either = hard & said & counted, (hard | said) & counted
    return both.sum((2, 3)) / either.sum((2, 3)).clamp(min=1)


def inner_share(wanted: Wanted) -> float:
    """How much of the square is picture."""
    side = wanted.masks.shape[-1]
    return wanted.inner[0] * wanted.inner[1] / side**2


def _mean(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return (values * weights).sum() / weights.sum().clamp(min=1)
