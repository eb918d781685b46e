"""SCHP's network for human parsing, from the file that its authors publish.

Li et al., "Self-Correction for Human Parsing" (2019): a ResNet-101 with a pyramid of averages (Zhao
et al., 2017), a decoder, and a branch that was trained to find the edges between classes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.nn.functional import interpolate, leaky_relu, relu
from transformers import PretrainedConfig
from transformers.modeling_outputs import SemanticSegmenterOutput

from models.segmenter.atr import NAMES

STAGES = ("layer1", "layer2", "layer3", "layer4")
PYRAMID = (1, 2, 3, 6)
"""The sides of the grids that the pyramid averages over."""
SLOPE = 0.01
TRAINING_ONLY = ("decoder.conv4.", "edge.conv4.", "edge.conv5.")
"""The heads of the losses on the decoder and on the edges; parsing takes the fusion's logits."""


class _Norm(nn.BatchNorm2d):
    """Batch normalisation as the checkpoint was trained with (Rota Bulò et al., 2018).

    That implementation scales by the magnitude of the weight; `load_schp` takes it.
    """


class _ActiveNorm(_Norm):
    """Batch normalisation and a leaky ReLU, which the checkpoint stores as one module."""

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        return leaky_relu(super().forward(planes), SLOPE)


def _convolution(ins: int, outs: int, side: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(ins, outs, side, padding=side // 2, bias=False), _ActiveNorm(outs)
    )


class _Bottleneck(nn.Module):
    """A residual block of ResNet-50 and deeper (He et al., 2015)."""

    def __init__(self, ins: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        outs = 4 * width
        self.conv1, self.bn1 = nn.Conv2d(ins, width, 1, bias=False), _Norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, dilation, dilation, bias=False)
        self.bn2 = _Norm(width)
        self.conv3, self.bn3 = nn.Conv2d(width, outs, 1, bias=False), _Norm(outs)
        is_same = stride == 1 and ins == outs
        self.downsample = None if is_same else nn.Sequential(
            nn.Conv2d(ins, outs, 1, stride, bias=False), _Norm(outs)
        )  # fmt: skip

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        residual = planes if self.downsample is None else self.downsample(planes)
        planes = relu(self.bn1(self.conv1(planes)))
        planes = relu(self.bn2(self.conv2(planes)))
        return relu(self.bn3(self.conv3(planes)) + residual)


class _Pyramid(nn.Module):
    """Averages over grids of several sizes, beside the planes themselves."""

    def __init__(self, ins: int, outs: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(side), *_convolution(ins, outs)) for side in PYRAMID
        )
        self.bottleneck = _convolution(ins + len(PYRAMID) * outs, outs, 3)

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        averages = [_enlarge(stage(planes), planes) for stage in self.stages]
        return cast("torch.Tensor", self.bottleneck(torch.cat([*averages, planes], 1)))


class _Decoder(nn.Module):
    """The pyramid's context together with the fine planes of the first stage."""

    def __init__(self, context: int, fine: int, outs: int) -> None:
        super().__init__()
        narrow = 3 * outs // 16
        self.conv1, self.conv2 = _convolution(context, outs), _convolution(fine, narrow)
        self.conv3 = nn.Sequential(*_convolution(outs + narrow, outs), *_convolution(outs, outs))

    def forward(self, context: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
        both = torch.cat([_enlarge(self.conv1(context), fine), self.conv2(fine)], 1)
        return cast("torch.Tensor", self.conv3(both))


class _Edges(nn.Module):
    """Features of the edges between classes, of the first three stages."""

    def __init__(self, ins: tuple[int, int, int], outs: int) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = (_convolution(each, outs) for each in ins)

    def forward(
        self, fine: torch.Tensor, middle: torch.Tensor, coarse: torch.Tensor
    ) -> torch.Tensor:
        features = self.conv1(fine), self.conv2(middle), self.conv3(coarse)
        return torch.cat([_enlarge(each, fine) for each in features], 1)


class Schp(nn.Module):
    """The network. Its modules have the published names; it is called like a SegFormer.

    width: the channels of the first convolution, 64 as published. depths: the blocks of each stage.
    """

    def __init__(self, width: int = 64, depths: tuple[int, ...] = (3, 4, 23, 3)) -> None:
        super().__init__()
        options: dict[str, Any] = {
            "id2label": dict(enumerate(NAMES)), "architectures": ["Schp"], "width": width,
            "depths": list(depths),
        }  # fmt: skip
        self.config = PretrainedConfig(**options)
        self.conv1, self.bn1 = nn.Conv2d(3, width, 3, 2, 1, bias=False), _Norm(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1, bias=False), _Norm(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 2 * width, 3, 1, 1, bias=False), _Norm(2 * width)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        ins = 2 * width
        for stage, (name, depth) in enumerate(zip(STAGES, depths, strict=True)):
            stride, dilation = ((1, 1), (2, 1), (2, 1), (1, 2))[stage]
            blocks = [_Bottleneck(ins, width << stage, stride, dilation)]
            ins = 4 * width << stage
            blocks += [_Bottleneck(ins, width << stage, 1, dilation) for _ in range(depth - 1)]
            setattr(self, name, nn.Sequential(*blocks))
        self.context_encoding = _Pyramid(ins, 8 * width)
        self.decoder = _Decoder(8 * width, 4 * width, 4 * width)
        self.edge = _Edges((4 * width, 8 * width, 16 * width), 4 * width)
        self.fushion = nn.Sequential(
            *_convolution(16 * width, 4 * width), nn.Identity(),
            nn.Conv2d(4 * width, len(NAMES), 1),
        )  # fmt: skip

    def forward(self, pixel_values: torch.Tensor) -> SemanticSegmenterOutput:
        """(n, 3, h, w) normalised RGB -> logits (n, 18, h, w)."""
        planes = relu(self.bn1(self.conv1(pixel_values)))
        planes = relu(self.bn2(self.conv2(planes)))
        planes = self.maxpool(relu(self.bn3(self.conv3(planes))))
        levels = []
        for name in STAGES:
            planes = self.get_submodule(name)(planes)
            levels.append(planes)
        decoded = self.decoder(self.context_encoding(planes), levels[0])
        fusion = self.fushion(torch.cat([decoded, self.edge(*levels[:3])], 1))
        return SemanticSegmenterOutput(logits=_enlarge(fusion, pixel_values))


def _enlarge(planes: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Resizes planes to the height and width of others, corners on corners as in the training."""
    return interpolate(planes, other.shape[-2:], mode="bilinear", align_corners=True)


def load_schp(path: Path) -> Schp:
    """The network of a published file, in fp32 on the CPU, for RGB input.

    Raises:
        ValueError: the file is no SCHP checkpoint, or one of other classes than ATR's.
    """
    content = torch.load(path, map_location="cpu", weights_only=True)
    state = _read_state(content.get("state_dict", content))
    classes = len(state["fushion.3.bias"]) if "fushion.3.bias" in state else 0
    if classes != len(NAMES):
        raise ValueError(
            f"{path.name} is not SCHP's checkpoint for ATR: it has {classes or 'no'} classes, "
            f"expected {len(NAMES)} (exp-schp-201908301523-atr.pth)"
        )
    depths = tuple(
        len({name.split(".")[1] for name in state if name.startswith(f"{stage}.")})
        for stage in STAGES
    )
    network = Schp(len(state["conv1.weight"]), depths)
    for name, module in network.named_modules():
        if isinstance(module, _Norm) and f"{name}.weight" in state:
            state[f"{name}.weight"] = state[f"{name}.weight"].abs()
            state.setdefault(f"{name}.num_batches_tracked", torch.tensor(0))
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"{path.name} is not SCHP's checkpoint: {error}") from error
    return network


def _read_state(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors by our names, without what only training needs; BGR input becomes RGB."""
    bare = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    used = {name: tensor for name, tensor in bare.items() if not name.startswith(TRAINING_ONLY)}
    if "conv1.weight" in used:
        used["conv1.weight"] = used["conv1.weight"].flip(1)
    return used
