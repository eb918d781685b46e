"""Trains SAM: views of all sources, two kinds of prompts on each, and the mask and IoU losses."""

from collections.abc import Mapping
from typing import Any

import torch
from numpy.random import default_rng

from training.sam.prompts import PromptLayout, Prompts, TargetGroups, TargetMasks, make_prompts
from training.sam.views import Views
from training.trainer import Schedule, Trainer

REFINING = PromptLayout(box=True, mask_input=True)
"""The Segmenter's own prompt for a named target."""
USER_LAYOUTS: tuple[tuple[PromptLayout, float], ...] = (
    (PromptLayout(inside=1), 0.3),
    (PromptLayout(inside=2, outside=1), 0.15),
    (PromptLayout(box=True), 0.2),
    (PromptLayout(inside=1, outside=1, box=True), 0.1),
    (PromptLayout(1, 0, box=True, mask_input=True), 0.15),
    (PromptLayout(2, 1, box=True, mask_input=True), 0.1),
)
"""The prompts for callers' points and boxes, and their probabilities."""


class SamTrainer(Trainer):
    """Trains SAM; half of the prompts refine a parser's mask, half are points and boxes."""

    def __init__(
        self, network: Any, views: Views, schedule: Schedule, batch: Mapping[str, int],
        prompts: int, seed: int,
    ) -> None:  # fmt: skip
        super().__init__(network, schedule)
        self._views, self._batch, self._count = views, batch, max(1, prompts // 2)
        self._groups, self._rng = TargetGroups(self.device), default_rng(seed)

    def losses(self) -> dict[str, torch.Tensor]:
        """The losses of the masks and of their predicted IoUs."""
        with torch.no_grad():
            view = self._views.draw(self._batch, self._rng)
        planes = encode(self.network, view.pictures)
        user_layout = USER_LAYOUTS[
            int(self._rng.choice(len(USER_LAYOUTS), p=[share for _, share in USER_LAYOUTS]))
        ][0]
        total: dict[str, torch.Tensor] = {}
        for name, layout in (("refine", REFINING), ("ask", user_layout)):
            with torch.no_grad():
                targets = self._groups.choose(view.codes, view.inner, self._count)
                prompts = make_prompts(targets, layout)
            logits, ious = decode(self.network, planes, prompts)
            is_multimask = layout == PromptLayout(inside=1)
            total[name], predicted = mask_loss(
                logits, ious, targets, prompts.is_valid, is_multimask
            )
            total[f"{name} iou"] = predicted
        return total


def encode(network: Any, pictures: torch.Tensor) -> torch.Tensor:
    """(n, 3, side, side) as `SamModel.preprocess` makes them -> (n, prompt_width, s, s) float32."""
    with torch.autocast(pictures.device.type, dtype=torch.bfloat16):
        planes: torch.Tensor = network.image_encoder(pictures)
    return planes.float()


def decode(
    network: Any, planes: torch.Tensor, prompts: Prompts
) -> tuple[torch.Tensor, torch.Tensor]:
    """M prompts on n pictures, m / n on each -> logits (m, 4, 4s, 4s) and predicted IoUs (m, 4)."""
    encoder, count = network.prompt_encoder, len(prompts.points) // len(planes)
    if prompts.mask_input is None:
        dense = encoder.no_mask_embed.weight.view(1, -1, 1, 1)
    else:
        dense = encoder._embed_masks(prompts.mask_input)
    # The package's decoder repeats one picture for all prompts. Here every prompt has its own
    # picture, which is passed in the dense prompt, because the package adds both.
    prediction: tuple[torch.Tensor, torch.Tensor] = network.mask_decoder.predict_masks(
        planes.new_zeros(1, 1, 1, 1), encoder.get_dense_pe(),
        embed_points(encoder, prompts.points, prompts.labels),
        planes.repeat_interleave(count, 0) + dense,
    )  # fmt: skip
    return prediction


def embed_points(encoder: Any, points: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The package's prompt encoding, (m, k, 2) and (m, k) -> (m, k, prompt_width), computed without
    branches on the labels, which would make a GPU wait.
    """
    places = encoder.pe_layer.forward_with_coords(points + 0.5, encoder.input_image_size)
    kinds = [encoder.not_a_point_embed.weight, *(e.weight for e in encoder.point_embeddings)]
    embedded: torch.Tensor = places * (labels >= 0)[..., None] + torch.cat(kinds)[labels + 1]
    return embedded


def mask_loss(
    logits: torch.Tensor, ious: torch.Tensor, targets: TargetMasks, is_valid: torch.Tensor,
    is_multimask: bool,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """Cross-entropy and dice of the masks, and the squared error of the predicted IoUs.

    is_multimask: a lone point is ambiguous, so the best of the three further masks is trained
    beside the first.
    """
    by = targets.masks.shape[-1] // logits.shape[-1]
    truth, counts = (torch.nn.functional.avg_pool2d(planes, by)
                     for planes in (targets.masks, targets.counts))  # fmt: skip
    if not is_multimask:
        logits, ious = logits[:, :1], ious[:, :1]
    masks = logits.sigmoid() * counts
    dice = 1 - (2 * (masks * truth).sum((2, 3)) + 1) / (
        masks.sum((2, 3)) + truth.sum((2, 3)) + 1
    )  # fmt: skip
    cross = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, truth.expand_as(logits), counts.expand_as(logits), reduction="none"
    ).mean((2, 3))
    losses = 2 * cross + dice
    loss = losses[:, 0] + losses[:, 1:].amin(1) if is_multimask else losses[:, 0]
    is_certain = is_valid * (counts.mean((1, 2, 3)) > 0.97 * inner_share(targets))
    off = (ious - true_iou(logits, truth, counts)).square().mean(1)
    return _mean(loss, is_valid), _mean(off, is_certain)


def true_iou(logits: torch.Tensor, truth: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """The IoU (m, c) of masks (m, c, s, s) with the ground truth (m, 1, s, s), where it counts."""
    mask, target, counted = logits.detach() > 0, truth > 0.5, counts > 0.5
    both, either = mask & target & counted, (mask | target) & counted
    return both.sum((2, 3)) / either.sum((2, 3)).clamp(min=1)


def inner_share(targets: TargetMasks) -> float:
    """The share of the padded square that is picture."""
    side = targets.masks.shape[-1]
    return targets.inner[0] * targets.inner[1] / side**2


def _mean(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return (values * weights).sum() / weights.sum().clamp(min=1)
