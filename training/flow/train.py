"""The recipe of the starter's appearance flow, trained on drawn people with exact ground truth.

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

from models.checkpoints.weights import read_tensors, write_tensors
from models.segmenter.atr import MIRRORED
from models.tryon.warping.flow import GRID, OUTSIDE, STRIDE
from models.tryon.warping.flow_network import WEIGHTS_FILE, FlowNetwork
from training.flow.pairs import FLAT_SIZE, UNKNOWN, YES, FlowPairs, draw_pairs
from training.trainer import Schedule, Trainer
from training.workers import draw_in_processes

FIRST_SEED, TEST_SEED = 50_000_000, 70_000_000
TEST = 150
LEAST = 0.3
"""Where the moved warp's cover is below this, its coordinates are ignored."""
_SWAPPED = torch.tensor([*MIRRORED, OUTSIDE])


@dataclass(frozen=True, kw_only=True)
class FlowSchedule(Schedule):
    """batch: pairs a step."""

    batch: int = 16
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.05
    max_norm: float = 1.0


class FlowTrainer(Trainer):
    """Trains the flow network; all pairs stay on its device."""

    def __init__(
        self, network: FlowNetwork, pairs: FlowPairs, schedule: FlowSchedule, seed: int
    ) -> None:
        super().__init__(network, schedule)
        self._batch, self._rng = schedule.batch, default_rng(seed)
        self._pairs = FlowPairs(*(torch.from_numpy(array).to(self.device) for array in pairs))

    def losses(self) -> dict[str, torch.Tensor]:
        """The losses of a batch, which is mirrored half of the time."""
        rows = torch.from_numpy(self._rng.integers(0, len(self._pairs.labels), self._batch))
        pairs = FlowPairs(*(tensor[rows.to(self.device)] for tensor in self._pairs))
        if self._rng.random() < 0.5:
            pairs = mirror(pairs)
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            flow = predict(self.network.train(), pairs)
        return measure(flow.float(), pairs)


def predict(network: FlowNetwork, pairs: FlowPairs) -> torch.Tensor:
    """The network's flow for pairs of tensors, (n, 2, GRID / STRIDE)."""
    flow: torch.Tensor = network(
        pairs.labels.long(), pairs.cover.float() / 255, pairs.place.float() / 255,
        pairs.flat.float() / 255,
    )  # fmt: skip
    return flow


def measure(flow: torch.Tensor, pairs: FlowPairs) -> dict[str, torch.Tensor]:
    """The error of the moved warp.

    place: mean distance where both show the cloth, as a share of the flat picture; cover: the area
    that is wrongly covered or bare, as a share of the cloth's area; bend: the second differences
    of the flow.
    """
    cover = pairs.cover.float()[:, None] / 255
    source = torch.cat([pairs.source.float() / FLAT_SIZE * cover, cover], 1)
    moved = move(source, flow)
    warped = moved[:, 2]
    place = moved[:, :2] / moved[:, 2:].clamp(min=0.05)
    visible = pairs.visible == YES
    both = visible & (warped > LEAST)
    off = (place - pairs.target.float() / FLAT_SIZE).square().sum(1).clamp(min=1e-8).sqrt()
    area = visible.sum().clamp(min=1)
    wrong = (warped - visible.float()).abs() * (pairs.visible != UNKNOWN)
    down, right = flow.diff(n=2, dim=2).abs().mean(), flow.diff(n=2, dim=3).abs().mean()
    return {
        "place": 10 * (off * both).sum() / area, "cover": wrong.sum() / area,
        "bend": 0.3 * (down + right),
    }  # fmt: skip


def move(planes: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Samples planes (n, c, *GRID) at offsets of a flow (n, 2, GRID / STRIDE), in cells."""
    large = interpolate(flow, scale_factor=STRIDE, mode="bilinear", align_corners=False)
    still = affine_grid(
        torch.eye(2, 3, device=flow.device)[None], [1, 1, *GRID], align_corners=False
    )  # fmt: skip
    span = torch.tensor([2 / GRID[1], 2 / GRID[0]], device=flow.device)
    return grid_sample(
        planes, still + large.permute(0, 2, 3, 1) * span, padding_mode="zeros", align_corners=False
    )  # fmt: skip


def mirror(pairs: FlowPairs) -> FlowPairs:
    """The same pairs, mirrored horizontally."""
    turned = FlowPairs(*(tensor.flip(-1) for tensor in pairs))
    place, source, target = (
        tensor.clone() for tensor in (turned.place, turned.source, turned.target)
    )
    place[:, 0] = turned.cover - place[:, 0].clamp(max=turned.cover)
    source[:, 0], target[:, 0] = FLAT_SIZE - 1 - source[:, 0], FLAT_SIZE - 1 - target[:, 0]
    labels = _SWAPPED.to(turned.labels.device)[turned.labels.long()].to(torch.uint8)
    return turned._replace(labels=labels, place=place, source=source, target=target)


def report(network: FlowNetwork, pairs: FlowPairs) -> str:
    """The losses on held-out pairs, with the flow and without it."""
    device = next(network.parameters()).device
    with torch.inference_mode():
        tensors = FlowPairs(*(torch.from_numpy(array).to(device) for array in pairs))
        flow = predict(network.eval(), tensors)
        now, before = measure(flow, tensors), measure(torch.zeros_like(flow), tensors)
    return "held out: " + ", ".join(
        f"{name} {float(now[name]):.3f} ({float(before[name]):.3f} without)" for name in now
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "flow")
    parser.add_argument("--start", type=Path, help="a folder of weights to start from")
    parser.add_argument("--minutes", type=float, default=30.0, help="of CPU time")
    parser.add_argument("--learning-rate", type=float, default=1.5e-3)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw")
    return parser.parse_args()


def main() -> None:
    """Draws the pairs once into the work folder, trains, and writes the averaged weights."""
    args = _parse()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    first = FIRST_SEED + args.seed * 1_000_000
    args.work.mkdir(parents=True, exist_ok=True)
    path = args.work / f"pairs-{first}-{args.pairs}.npz"
    if not path.exists():
        pairs = draw_in_processes(draw_pairs, args.pairs, first, args.workers)
        test = draw_in_processes(draw_pairs, TEST, TEST_SEED, args.workers)
        np.savez(path, *pairs, *test)
    with np.load(path) as file:
        arrays = [file[f"arr_{at}"] for at in range(2 * len(FlowPairs._fields))]
    pairs, test = (
        FlowPairs(*arrays[: len(FlowPairs._fields)]),
        FlowPairs(*arrays[len(FlowPairs._fields) :]),
    )
    network = FlowNetwork()
    if args.start:
        network.load_state_dict(read_tensors(args.start / WEIGHTS_FILE))
    schedule = FlowSchedule(
        minutes=args.minutes, learning_rate=args.learning_rate, batch=args.batch
    )
    trainer = FlowTrainer(network.to(args.device), pairs, schedule, args.seed)
    print(f"{len(pairs.labels)} pairs, {sum(p.numel() for p in network.parameters()):,} weights")

    def save_and_report() -> str:
        write_tensors(args.out / WEIGHTS_FILE, trainer.ema.state_dict())
        return report(trainer.ema, test)

    trainer.train(args.work, save_and_report)


if __name__ == "__main__":
    main()
