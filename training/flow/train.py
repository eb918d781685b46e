"""The recipe of the starter's appearance flow: drawn people, whose cloth is known point by point.

Run: python -m training.flow.train --out models/starter/flow
On a machine with a GPU: --device cuda --workers 12 --pairs 8000 --batch 64
"""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.random import default_rng
from torch.nn.functional import affine_grid, grid_sample, interpolate

from models.segmenter.atr import MIRRORED
from models.tryon.warping.flow import GRID, OUTSIDE, STRIDE
from models.tryon.warping.flow_network import WEIGHTS_FILE, FlowNetwork
from models.weights import read_tensors, write_tensors
from training.flow.pairs import FLAT_SIZE, UNKNOWN, YES, Pairs, draw_pairs
from training.trainee import Pace, Trainee
from training.workers import spread

FIRST_SEED, TEST_SEED = 50_000_000, 70_000_000
TEST = 150
LEAST = 0.3
"""Where the moved warp covers less than this, its place says nothing."""
_SWAPPED = torch.tensor([*MIRRORED, OUTSIDE])


@dataclass(frozen=True, kw_only=True)
class Schedule(Pace):
    """batch: pairs a step."""

    batch: int = 16
    rate: float = 1.5e-3
    decay: float = 0.05
    clip: float = 1.0


class Run(Trainee):
    """The network and all pairs, which stay on its device."""

    def __init__(self, network: FlowNetwork, pairs: Pairs, pace: Schedule, seed: int) -> None:
        super().__init__(network, pace)
        self._batch, self._rng = pace.batch, default_rng(seed)
        self._pairs = Pairs(*(torch.from_numpy(each).to(self.device) for each in pairs))

    def losses(self) -> dict[str, torch.Tensor]:
        """Of a batch, half of it mirrored."""
        rows = torch.from_numpy(self._rng.integers(0, len(self._pairs.labels), self._batch))
        pairs = Pairs(*(each[rows.to(self.device)] for each in self._pairs))
        if self._rng.random() < 0.5:
            pairs = mirror(pairs)
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            flow = answer(self.network.train(), pairs)
        return measure(flow.float(), pairs)


def answer(network: FlowNetwork, pairs: Pairs) -> torch.Tensor:
    """The network's flow for pairs of tensors."""
    found: torch.Tensor = network(
        pairs.labels.long(), pairs.cover.float() / 255, pairs.place.float() / 255,
        pairs.flat.float() / 255,
    )  # fmt: skip
    return found


def measure(flow: torch.Tensor, pairs: Pairs) -> dict[str, torch.Tensor]:
    """How far off the moved warp is. place: mean distance where both show the cloth, as a share of
    the flat picture; cover: wrongly covered or bare, as a share of the cloth's area; bend: how
    unsmooth the flow is.
    """
    cover = pairs.cover.float()[:, None] / 255
    source = torch.cat([pairs.source.float() / FLAT_SIZE * cover, cover], 1)
    moved = move(source, flow)
    there = moved[:, 2]
    at = moved[:, :2] / moved[:, 2:].clamp(min=0.05)
    seen = pairs.seen == YES
    both = seen & (there > LEAST)
    off = (at - pairs.wanted.float() / FLAT_SIZE).square().sum(1).clamp(min=1e-8).sqrt()
    area = seen.sum().clamp(min=1)
    wrong = (there - seen.float()).abs() * (pairs.seen != UNKNOWN)
    down, right = flow.diff(n=2, dim=2).abs().mean(), flow.diff(n=2, dim=3).abs().mean()
    return {
        "place": 10 * (off * both).sum() / area, "cover": wrong.sum() / area,
        "bend": 0.3 * (down + right),
    }  # fmt: skip


def move(planes: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Planes (n, c, *GRID) looked up aside by a flow (n, 2, GRID / STRIDE) in cells."""
    large = interpolate(flow, scale_factor=STRIDE, mode="bilinear", align_corners=False)
    still = affine_grid(
        torch.eye(2, 3, device=flow.device)[None], [1, 1, *GRID], align_corners=False
    )  # fmt: skip
    span = torch.tensor([2 / GRID[1], 2 / GRID[0]], device=flow.device)
    return grid_sample(
        planes, still + large.permute(0, 2, 3, 1) * span, padding_mode="zeros", align_corners=False
    )  # fmt: skip


def mirror(pairs: Pairs) -> Pairs:
    """The same pairs in a mirror."""
    turned = Pairs(*(each.flip(-1) for each in pairs))
    place, source, wanted = (each.clone() for each in (turned.place, turned.source, turned.wanted))
    place[:, 0] = turned.cover - place[:, 0].clamp(max=turned.cover)
    source[:, 0], wanted[:, 0] = FLAT_SIZE - 1 - source[:, 0], FLAT_SIZE - 1 - wanted[:, 0]
    labels = _SWAPPED.to(turned.labels.device)[turned.labels.long()].to(torch.uint8)
    return turned._replace(labels=labels, place=place, source=source, wanted=wanted)


def report(network: FlowNetwork, pairs: Pairs) -> str:
    """The losses on held-out pairs, and what they are with no flow."""
    device = next(network.parameters()).device
    with torch.inference_mode():
        held = Pairs(*(torch.from_numpy(each).to(device) for each in pairs))
        flow = answer(network.eval(), held)
        now, before = measure(flow, held), measure(torch.zeros_like(flow), held)
    return "held out: " + ", ".join(
        f"{name} {float(now[name]):.3f} ({float(before[name]):.3f} without)" for name in now
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "flow")
    parser.add_argument("--start", type=Path, help="a folder of weights to start from")
    parser.add_argument("--minutes", type=float, default=30.0, help="of CPU time")
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw")
    return parser.parse_args()


def main() -> None:
    """Draws the pairs once, kept beside the state, trains, and writes the average's weights."""
    args = _parse()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    first = FIRST_SEED + args.seed * 1_000_000
    args.work.mkdir(parents=True, exist_ok=True)
    drawn = args.work / f"pairs-{first}-{args.pairs}.npz"
    if not drawn.exists():
        pairs = spread(draw_pairs, args.pairs, first, args.workers)
        held = spread(draw_pairs, TEST, TEST_SEED, args.workers)
        np.savez(drawn, *pairs, *held)
    with np.load(drawn) as kept:
        arrays = [kept[f"arr_{at}"] for at in range(2 * len(Pairs._fields))]
    pairs, held = Pairs(*arrays[: len(Pairs._fields)]), Pairs(*arrays[len(Pairs._fields) :])
    network = FlowNetwork()
    if args.start:
        network.load_state_dict(read_tensors(args.start / WEIGHTS_FILE))
    pace = Schedule(minutes=args.minutes, rate=args.rate, batch=args.batch)
    run = Run(network.to(args.device), pairs, pace, args.seed)
    print(f"{len(pairs.labels)} pairs, {sum(p.numel() for p in network.parameters()):,} weights")

    def told() -> str:
        write_tensors(args.out / WEIGHTS_FILE, run.average.state_dict())
        return report(run.average, held)

    run.train(args.work, told)


if __name__ == "__main__":
    main()
