"""Whether a SAM makes a parser's masks better in training's own terms, and whether it knows."""

from typing import Any

import torch

from models.segmenter.sam_checkpoint import Acceptance
from training.sam.prompts import Groups, Layout, Prompts, Wanted, make_prompts
from training.sam.run import REFINING, decode, encode, true_iou
from training.sam.views import Views

_BATCH, _EACH = 16, 4
_KINDS = {"refine": REFINING, "box": Layout(box=True), "point": Layout(inside=1)}


@torch.inference_mode()
def report(network: Any, views: Views, name: str, most: int = 64) -> str:
    """A line for each kind of prompt: mean IoUs on whole pictures of a source."""
    device = next(network.parameters()).device
    groups, lines = Groups(device), []
    with torch.random.fork_rng():
        for kind, layout in _KINDS.items():
            torch.manual_seed(1)
            parts = []
            for start in range(0, min(most, views.sizes[name]), _BATCH):
                stop = min(start + _BATCH, most, views.sizes[name])
                view = views.whole(name, range(start, stop))
                wanted = groups.choose(view.codes, view.inner, _EACH)
                prompts = make_prompts(wanted, layout)
                logits, ious = decode(network, encode(network, view.pictures), prompts)
                parts.append(_measure(logits.float(), ious, wanted, prompts))
            lines.append(f"{name} {kind}: {_tell(torch.cat(parts))}")
    return "\n".join(lines)


def _measure(
    logits: torch.Tensor, ious: torch.Tensor, wanted: Wanted, prompts: Prompts
) -> torch.Tensor:
    """(m, 4): foretold IoU, true IoU, the guess's own, and the mask's with the guess."""
    by = wanted.masks.shape[-1] // logits.shape[-1]
    truth, counts = (torch.nn.functional.avg_pool2d(each, by)
                     for each in (wanted.masks, wanted.counts))  # fmt: skip
    best = torch.zeros_like(ious[:, 0], dtype=torch.long)
    if prompts.guess is None and int(prompts.labels[0].max()) < 2:
        best = ious[:, 1:].argmax(1) + 1
    rows = torch.arange(len(ious), device=ious.device)
    found = logits[rows, best][:, None]
    columns = [ious[rows, best], true_iou(found, truth, counts)[:, 0]]
    guess = prompts.guess if prompts.guess is not None else torch.zeros_like(found)
    columns += [true_iou(guess, truth, counts)[:, 0]]
    columns += [true_iou(found, (guess > 0).float(), torch.ones_like(counts))[:, 0]]
    return torch.stack(columns, 1)[prompts.fine > 0].cpu()


def _tell(rows: torch.Tensor) -> str:
    foretold, true, before, agreed = rows.unbind(1)
    said = f"IoU {true.mean():.3f}, foretold {foretold.mean():.3f}"
    said += f" (off by {(foretold - true).abs().mean():.3f}), {len(rows)} prompts"
    if before.max() == 0:
        return said
    sure = Acceptance()
    taken = (foretold >= sure.iou) & (agreed >= sure.agreement)
    said += f", guess {before.mean():.3f}; {taken.float().mean():.0%} accepted"
    return said + f": {before[taken].mean():.3f} -> {true[taken].mean():.3f}"
