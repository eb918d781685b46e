"""The recipe of the starter SAM: segment-anything's classes at a small size, from drawn and worn
garments with box, point and mask prompts.

Run: python -m training.sam --street ../shared/data/people --out models/starter/sam
"""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from models.atr import ARMS, CATEGORIES, LEGS, PERSON, SHOES, Atr
from models.sam import CONFIG_FILE, WEIGHTS_FILE, SamArchitecture, build
from models.weights import write_tensors
from training.lying import draw_lying
from training.parse_views import disturb
from training.people import draw_people
from training.street import SETS, load_street

ARCHITECTURE = SamArchitecture(
    image_size=256, patch=16, width=160, depth=4, heads=4, global_layers=(1, 3), window=8,
    prompt_width=96, decoder_mlp=256, decoder_heads=4, iou_hidden=96,
)  # fmt: skip
SIDE = ARCHITECTURE.image_size
GROUPS: tuple[frozenset[Atr], ...] = (
    *CATEGORIES.values(), PERSON, SHOES, ARMS, LEGS, frozenset({Atr.BAG}), frozenset({Atr.HAT}),
    frozenset({Atr.HAIR}), frozenset({Atr.SCARF}),
)  # fmt: skip
Source = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def masks_of(codes: NDArray[np.int64]) -> list[NDArray[np.bool_]]:
    """The groups that a picture shows clearly enough: each a mask."""
    found = []
    for group in GROUPS:
        members = [code for code, classes in enumerate(SETS) if classes <= group]
        mask = np.isin(codes, members)
        if mask.mean() > 0.01:
            found.append(mask)
    return found


def choose_prompt(
    mask: NDArray[np.bool_], rng: Generator
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32] | None]:
    """Points (3, 2) in pixels with SAM's labels (2 and 3 are a box's corners, -1 is none), and a
    guess at the mask as the parser would make it, or none.
    """
    rows, columns = np.nonzero(mask)
    points, labels = np.zeros((3, 2), np.float32), np.full(3, -1)
    kind = rng.choice(["box", "point", "guess"], p=[0.3, 0.2, 0.5])
    if kind == "point":
        at = int(rng.integers(len(rows)))
        points[0], labels[0] = (columns[at], rows[at]), 1
        return points, labels, None
    shake = rng.normal(0, 0.025 * SIDE, 4)
    points[0] = columns.min() + shake[0], rows.min() + shake[1]
    points[1] = columns.max() + shake[2], rows.max() + shake[3]
    points, labels[:2] = points.clip(0, SIDE - 1), (2, 3)
    return points, labels, _coarse(mask, rng) if kind == "guess" else None


def _coarse(mask: NDArray[np.bool_], rng: Generator) -> NDArray[np.float32]:
    """The mask blurred, moved and bitten: (64, 64) logits."""
    side = SIDE // 4
    plane = torch.from_numpy(mask.astype(np.float32))[None, None]
    small = torch.nn.functional.interpolate(plane, (side, side), mode="area")
    noise = torch.from_numpy(rng.standard_normal((1, 1, 8, 8)).astype(np.float32))
    rough = torch.nn.functional.interpolate(noise, (side, side), mode="bicubic")
    width = int(rng.integers(1, 4))
    soft = torch.nn.functional.avg_pool2d(small, 2 * width + 1, 1, width)
    return ((soft + 0.12 * rough - 0.5) * 16.0).clamp(-8, 8)[0, 0].numpy()


def step_loss(network: Any, pictures: torch.Tensor, codes: torch.Tensor, rng: Generator) -> Any:
    """Cross-entropy and dice of the masks of two prompts a picture, and the error of the foretold
    IoU; None where no picture shows anything.
    """
    with torch.autocast("cpu", dtype=torch.bfloat16):
        planes = network.image_encoder((pictures - 0.45) / 0.225)
    losses = []
    for at in range(len(pictures)):
        masks = masks_of(codes[at].numpy())
        if not masks:
            continue
        chosen = [masks[int(rng.integers(len(masks)))] for _ in range(2)]
        losses.append(_picture_loss(network, planes[at : at + 1].float(), chosen, rng))
    return torch.stack(losses).mean() if losses else None


def _picture_loss(
    network: Any, planes: torch.Tensor, masks: list[NDArray[np.bool_]], rng: Generator
) -> torch.Tensor:
    prompts = [choose_prompt(mask, rng) for mask in masks]
    points = torch.from_numpy(np.stack([p for p, _, _ in prompts]))
    labels = torch.from_numpy(np.stack([label for _, label, _ in prompts]))
    encoder = network.prompt_encoder
    sparse, dense = encoder(points=(points, labels), boxes=None, masks=None)
    sparse = sparse[:, : points.shape[1]]  # without the padding point that it adds
    dense = torch.cat([
        dense[:1] if guess is None else encoder._embed_masks(torch.from_numpy(guess)[None, None])
        for _, _, guess in prompts
    ])  # fmt: skip
    logits, ious = network.mask_decoder.predict_masks(planes, encoder.get_dense_pe(), sparse, dense)
    truth = torch.from_numpy(np.stack(masks)).float()[:, None]
    small = torch.nn.functional.interpolate(truth, logits.shape[-2:], mode="area")
    found = logits.sigmoid()
    overlap = (found * small).sum((2, 3))
    dice = 1 - (2 * overlap + 1) / (found.sum((2, 3)) + small.sum((2, 3)) + 1)
    cross = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, small.expand_as(logits), reduction="none"
    ).mean((2, 3))
    each = 2 * cross + dice
    hard, said = logits > 0, small > 0.5
    true = (hard & said).sum((2, 3)) / (hard | said).sum((2, 3)).clamp(min=1)
    foretold = (ious - true.detach()).square().mean()
    loss: torch.Tensor = each[:, 0].mean() + each[:, 1:].min(1).values.mean() + foretold
    return loss


def save(network: Any, folder: Path, architecture: SamArchitecture = ARCHITECTURE) -> None:
    """Sizes and float16 tensors."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_FILE).write_text(json.dumps(asdict(architecture), indent=2) + "\n")
    write_tensors(folder / WEIGHTS_FILE, network.state_dict())


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--street", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=25.0)
    parser.add_argument("--rate", type=float, default=8e-4)
    parser.add_argument("--drawings", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    """Train for the given time and write the weights, now and then and at the end."""
    args = _parse()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    rng = default_rng(args.seed)
    street = load_street(args.street, {"train"}, SIDE, SIDE)
    drawn = draw_lying(args.drawings, SIDE, SIDE, args.seed)
    sources: list[Source] = [
        (street.pixels, street.codes), draw_people(args.drawings, SIDE, SIDE, args.seed),
        (drawn.pixels, drawn.codes),
    ]  # fmt: skip
    network = build(ARCHITECTURE)
    optimiser = torch.optim.AdamW(network.parameters(), lr=args.rate, weight_decay=0.02)
    started, steps, saved = time.monotonic(), 0, 0.0
    while (share := (time.monotonic() - started) / 60 / args.minutes) < 1.0:
        for group in optimiser.param_groups:
            group["lr"] = (
                args.rate * min(1.0, share / 0.04 + 0.02) * (1 + np.cos(np.pi * share)) / 2
            )
        views = []
        for (pixels, codes), count in zip(sources, (4, 1, 1), strict=True):
            rows = rng.integers(0, len(pixels), count)
            views.append(disturb(pixels[rows], codes[rows], (SIDE, SIDE), rng))
        pictures, said = (torch.cat(parts) for parts in zip(*views, strict=True))
        loss = step_loss(network, pictures, said, rng)
        if loss is None:
            continue
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        steps += 1
        if steps % 50 == 0:
            print(f"step {steps} {share * args.minutes:.1f} min loss {loss.item():.3f}", flush=True)
        if share - saved > 0.2:
            saved = share
            save(network, args.out)
    save(network, args.out)


if __name__ == "__main__":
    main()
