"""The network of the appearance flow: a U-Net, conditioned on the garment's outline."""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import interpolate, one_hot

from models.checkpoints.weights import STARTER_FOLDER, fingerprint, read_tensors
from models.tryon.warping.flow import OUTSIDE, STRIDE, FlowInputs, Planes, mirror

WEIGHTS_FILE = "model.safetensors"
CHANNELS = OUTSIDE + 1 + 1 + 2
"""The input channels: one for each label, one for the cover, two for the places."""
WIDTHS = (32, 64, 96, 128, 160)
CUT = 128


class _Block(nn.Sequential):
    def __init__(self, inside: int, outside: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside),
            nn.ReLU(inplace=True), nn.Conv2d(outside, outside, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outside), nn.ReLU(inplace=True),
        )  # fmt: skip


class FlowNetwork(nn.Module):
    """A U-Net (Ronneberger et al., 2015); the garment's outline scales and shifts the features of
    its inner levels (Perez et al., FiLM, 2018). Untrained, its flow is 0.
    """

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            _Block(inside, outside, 2)
            for inside, outside in zip((CHANNELS, *WIDTHS), WIDTHS, strict=False)
        )
        self.cut = nn.Sequential(
            _Block(1, 16, 2), _Block(16, 32, 2), _Block(32, 48, 2), _Block(48, 64, 2),
            nn.Flatten(), nn.Linear(64 * 4 * 4, CUT), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.film = nn.ModuleList(nn.Linear(CUT, 2 * width) for width in WIDTHS[2:])
        self.up = nn.ModuleList(
            _Block(below + beside, beside)
            for below, beside in zip(WIDTHS[:1:-1], WIDTHS[-2:0:-1], strict=True)
        )
        self.head = nn.Conv2d(WIDTHS[1], 2, 3, padding=1)
        for tensor in self.head.parameters():
            nn.init.zeros_(tensor)

    def forward(
        self, labels: torch.Tensor, cover: torch.Tensor, place: torch.Tensor, flat: torch.Tensor
    ) -> torch.Tensor:
        """(n, h, w) int64, (n, h, w), (n, 2, h, w), (n, s, s) -> (n, 2, h / STRIDE, w / STRIDE)."""
        classes = one_hot(labels, OUTSIDE + 1).permute(0, 3, 1, 2).to(cover.dtype)
        x = torch.cat([classes, cover[:, None], place], 1).contiguous(
            memory_format=torch.channels_last
        )
        cut = self.cut(flat[:, None])
        skips = []
        for level, block in enumerate(self.down):
            x = block(x)
            if level >= 2:
                gain, offset = self.film[level - 2](cut)[..., None, None].chunk(2, 1)
                x = x * (1 + gain) + offset
            skips.append(x)
        for block, beside in zip(self.up, skips[-2:0:-1], strict=True):
            large = interpolate(x, beside.shape[-2:], mode="bilinear", align_corners=False)
            x = block(torch.cat([large, beside], 1))
        flow: torch.Tensor = self.head(x)
        return flow


class FlowPredictor:
    """A loaded checkpoint; holds no state of a request."""

    def __init__(self, network: FlowNetwork) -> None:
        self._network = network.eval().requires_grad_(False)
        self.version = f"flow-{fingerprint(network.state_dict(), [STRIDE])}"

    def flow(self, inputs: FlowInputs) -> Planes:
        """The mean of the flows for the inputs and for their mirror image (10 ms more)."""
        both = (inputs, mirror(inputs))
        with torch.inference_mode():
            plain, turned = self._network(
                torch.from_numpy(np.stack([each.labels for each in both]).astype(np.int64)),
                *(
                    torch.from_numpy(np.stack([getattr(each, name) for each in both]))
                    for name in ("cover", "place", "flat")
                ),
            ).numpy()
        turned = turned[..., ::-1] * np.array([-1, 1], np.float32)[:, None, None]
        flow: Planes = (plain + turned) / 2
        return flow


def load_flow(folder: Path = STARTER_FOLDER / "flow") -> FlowPredictor:
    """Loads the weights of a folder, by default the shipped weights, on the CPU."""
    network = FlowNetwork()
    tensors = read_tensors(folder / WEIGHTS_FILE)
    network.load_state_dict(
        {name: each.float() if each.is_floating_point() else each for name, each in tensors.items()}
    )
    return FlowPredictor(network)
