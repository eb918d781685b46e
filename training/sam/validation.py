"""Validation of SAM: whether it improves a parser's masks, and whether it predicts its own IoU."""

from typing import Any

import torch

from models.segmenter.sam_checkpoint import Acceptance
from training.sam.prompts import PromptLayout, Prompts, TargetGroups, TargetMasks, make_prompts
from training.sam.trainer import REFINING, decode, encode, true_iou
from training.sam.views import Views

_BATCH, _TARGETS = 16, 4
_KINDS = {"refine": REFINING, "box": PromptLayout(box=True), "point": PromptLayout(inside=1)}


@torch.inference_mode()
def report(network: Any, views: Views, name: str, most: int = 64) -> str:
    """One line for each kind of prompt: mean IoUs on whole pictures of a source."""
    device = next(network.parameters()).device
    groups, lines = TargetGroups(device), []
    with torch.random.fork_rng():
        for kind, layout in _KINDS.items():
            torch.manual_seed(1)
            parts = []
            for start in range(0, min(most, views.sizes[name]), _BATCH):
                stop = min(start + _BATCH, most, views.sizes[name])
                view = views.whole(name, range(start, stop))
                targets = groups.choose(view.codes, view.inner, _TARGETS)
                prompts = make_prompts(targets, layout)
                logits, ious = decode(network, encode(network, view.pictures), prompts)
                parts.append(_measure(logits.float(), ious, targets, prompts))
            lines.append(f"{name} {kind}: {_summarise(torch.cat(parts))}")
    return "\n".join(lines)


def _measure(
    logits: torch.Tensor, ious: torch.Tensor, targets: TargetMasks, prompts: Prompts
) -> torch.Tensor:
    """(m, 4): predicted and true IoU, the mask input's true IoU, and IoU of mask and mask input."""
    by = targets.masks.shape[-1] // logits.shape[-1]
    truth, counts = (torch.nn.functional.avg_pool2d(planes, by)
                     for planes in (targets.masks, targets.counts))  # fmt: skip
    best = torch.zeros_like(ious[:, 0], dtype=torch.long)
    if prompts.mask_input is None and int(prompts.labels[0].max()) < 2:
        best = ious[:, 1:].argmax(1) + 1
    rows = torch.arange(len(ious), device=ious.device)
    mask = logits[rows, best][:, None]
    columns = [ious[rows, best], true_iou(mask, truth, counts)[:, 0]]
    mask_input = prompts.mask_input if prompts.mask_input is not None else torch.zeros_like(mask)
    columns += [true_iou(mask_input, truth, counts)[:, 0]]
    columns += [true_iou(mask, (mask_input > 0).float(), torch.ones_like(counts))[:, 0]]
    return torch.stack(columns, 1)[prompts.is_valid > 0].cpu()


def _summarise(rows: torch.Tensor) -> str:
    predicted, true, before, agreed = rows.unbind(1)
    text = f"IoU {true.mean():.3f}, predicted {predicted.mean():.3f}"
    text += f" (off by {(predicted - true).abs().mean():.3f}), {len(rows)} prompts"
    if before.max() == 0:
        return text
    rule = Acceptance()
    is_accepted = (predicted >= rule.iou) & (agreed >= rule.agreement)
    text += f", mask input {before.mean():.3f}; {is_accepted.float().mean():.0%} accepted"
    return text + f": {before[is_accepted].mean():.3f} -> {true[is_accepted].mean():.3f}"
