"""The starter parser's network: the starter embedder's encoder, and a decoder for fine edges."""

from typing import Any

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SemanticSegmenterOutput

from models.embedder.backbone import studio_resnet

MODEL_TYPE = "studio-parser"


class ConvParserConfig(PretrainedConfig):  # type: ignore[no-untyped-call]
    """widths: the decoder's channels at strides 16, 8, 4 and 2; context: layers of `_Context`."""

    model_type = MODEL_TYPE

    def __init__(
        self, widths: tuple[int, ...] = (112, 72, 48, 32), context: int = 0, **kwargs: Any
    ) -> None:
        self.widths, self.context = list(widths), context
        super().__init__(**kwargs)


class _Context(nn.Module):
    """Self-attention (Vaswani et al., 2017) over the whole picture at stride 32.

    Whether a pixel belongs to a dress or to a top often depends on distant parts of the picture.
    The residual passes a layer norm. The decoder's batch norms remove any offset; without the layer
    norm such an offset would grow during training until the running averages no longer fit.
    Untrained, the block adds nothing, so it can be put into a network that was trained without it.
    """

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.place = nn.Linear(8, width, bias=False)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, width // 48, 2 * width, 0.0, batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.add = nn.Linear(width, width, bias=False)

    def settle(self) -> None:
        """Initialise the output to zero, so that the untrained block changes nothing."""
        nn.init.zeros_(self.add.weight)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(n, width, h, w) -> the same shape."""
        x = features.flatten(2).transpose(1, 2) + self.place(_places(features))
        for layer in self.layers:
            x = layer(x)
        added: torch.Tensor = self.add(self.norm(x)).transpose(1, 2).reshape(features.shape)
        return features + added


def _places(features: torch.Tensor) -> torch.Tensor:
    """Position encodings of (n, c, h, w): (h * w, 8), two waves along each side."""
    sides = [(torch.arange(n, device=features.device) + 0.5) * (torch.pi / n)
             for n in features.shape[-2:]]  # fmt: skip
    y, x = torch.meshgrid(*sides, indexing="ij")
    waves = [wave(turns * side) for side in (y, x) for turns in (1, 2)
             for wave in (torch.sin, torch.cos)]  # fmt: skip
    return torch.stack(waves, -1).flatten(0, 1).to(features.dtype)


class _Step(nn.Module):
    """One step of the decoder: enlarges its input to the encoder's level and mixes both."""

    def __init__(self, below: int, beside: int, width: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(below, width, 1, bias=False)
        self.skip = nn.Conv2d(beside, width, 1, bias=False)
        self.mix = nn.Sequential(
            nn.BatchNorm2d(width), nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width), nn.ReLU(inplace=True),
        )  # fmt: skip

    def forward(self, below: torch.Tensor, beside: torch.Tensor) -> torch.Tensor:
        large = nn.functional.interpolate(
            self.narrow(below), beside.shape[-2:], mode="bilinear", align_corners=False
        )
        mixed: torch.Tensor = self.mix(large + self.skip(beside))
        return mixed


class ConvParser(PreTrainedModel):  # type: ignore[no-untyped-call]
    """A U-Net (Ronneberger et al., 2015) on the embedder's ResNet-D.

    It is called and saved like transformers' SegFormer. A SegFormer of this size that is trained
    from scratch on so few photographs learns several times slower; the model card has the figures.
    """

    config_class = ConvParserConfig

    def __init__(self, config: ConvParserConfig) -> None:
        super().__init__(config)
        encoder: Any = studio_resnet(num_classes=0)
        self.encoder = encoder
        self.context: Any = _Context(288, config.context) if config.context else None
        beside = (144, 64, 32, int(encoder.conv1[-1].out_channels))
        below = (288, *config.widths[:-1])
        self.steps = nn.ModuleList(
            _Step(*sizes) for sizes in zip(below, beside, config.widths, strict=True)
        )
        self.classify = nn.Conv2d(config.widths[-1], int(config.num_labels or 0), 1)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(self, pixel_values: torch.Tensor) -> SemanticSegmenterOutput:
        """(n, 3, h, w) -> logits (n, classes, h / 2, w / 2)."""
        net = self.encoder
        x = net.act1(net.bn1(net.conv1(pixel_values)))
        levels = [x]
        x = net.maxpool(x)
        for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
            x = stage(x)
            levels.append(x)
        if self.context is not None:
            x = self.context(x)
        for step, beside in zip(self.steps, levels[-2::-1], strict=True):
            x = step(x, beside)
        return SemanticSegmenterOutput(logits=self.classify(x))
