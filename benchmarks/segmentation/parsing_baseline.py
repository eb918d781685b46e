"""What a plain U-Net reaches on the photographs that the starter parser is measured on.

    python -m benchmarks.segmentation.parsing_baseline --street ../shared/data/people [--minutes 23]

The yardstick of the parser's issue: about 1.2 M weights from scratch at 192 x 128, one core, from
the photographs with a map alone (training and validation part).
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from numpy.random import default_rng
from torch import nn
from transformers.modeling_outputs import SemanticSegmenterOutput

from models.segmenter.atr import NAMES
from training.parser.augment import augment, normalise
from training.parser.trainer import forbidden
from training.parser.validation import report
from training.photos.street import Street, load_street

SIZE = (192, 128)
WIDTHS = (16, 32, 64, 112, 160)
BATCH, RATE, WARM_UP, STRENGTH = 16, 1e-3, 0.03, 0.6


def _block(below: int, width: int) -> nn.Sequential:
    parts: list[nn.Module] = []
    for channels in (below, width):
        parts += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width),
                  nn.ReLU(inplace=True)]  # fmt: skip
    return nn.Sequential(*parts)


class PlainUNet(nn.Module):
    """Ronneberger et al., 2015, with bilinear enlarging."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(_block(*each) for each in zip((3, *WIDTHS), WIDTHS, strict=False))
        pairs = list(zip(WIDTHS[:0:-1], WIDTHS[-2::-1], strict=True))
        self.up = nn.ModuleList(_block(below + width, width) for below, width in pairs)
        self.classify = nn.Conv2d(WIDTHS[0], len(NAMES), 1)

    def forward(self, pixel_values: torch.Tensor) -> SemanticSegmenterOutput:
        """(n, 3, h, w) -> logits (n, 18, h, w)."""
        x = pixel_values
        scales: list[torch.Tensor] = []
        for block in self.down:
            x = block(nn.functional.max_pool2d(x, 2) if scales else x)
            scales.append(x)
        for block, beside in zip(self.up, scales[-2::-1], strict=True):
            large = nn.functional.interpolate(x, beside.shape[-2:], mode="bilinear")
            x = block(torch.cat([large, beside], 1))
        return SemanticSegmenterOutput(logits=self.classify(x))


def train(network: nn.Module, street: Street, minutes: float) -> int:
    """For so many minutes of CPU time; returns the steps. What a label leaves open is no error."""
    rng, started_s, steps = default_rng(0), time.process_time(), 0
    ruled_out = forbidden()
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.01)
    network.train()
    while (share := (time.process_time() - started_s) / 60 / minutes) < 1:
        rate = RATE * min(1.0, share / WARM_UP + 0.02) * (0.5 + 0.5 * np.cos(np.pi * share))
        optimiser.param_groups[0]["lr"] = rate
        rows = rng.integers(0, len(street.pixels), BATCH)
        pictures, codes = augment(street.pixels[rows], street.codes[rows], SIZE, rng, STRENGTH)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = network(
                normalise(pictures).contiguous(memory_format=torch.channels_last)
            ).logits
        planes = logits.float().permute(0, 2, 3, 1)
        loss = (planes.logsumexp(-1) - (planes + ruled_out[codes]).logsumexp(-1)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        steps += 1
    return steps


def main() -> None:
    """Prints the IoU over all pixels, and its mean over the photographs that show such a thing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--street", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=23.0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = PlainUNet().to(memory_format=torch.channels_last)
    steps = train(network, load_street(args.street, {"train", "validation"}, *SIZE), args.minutes)
    test = load_street(args.street, {"test"}, *SIZE)
    print(f"{sum(p.numel() for p in network.parameters()):,} weights, {steps:,} steps")
    print(report(network.eval(), test, SIZE))


if __name__ == "__main__":
    main()
