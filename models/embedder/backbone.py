"""The starter embedder's image networks, registered with timm for open_clip's factory to build."""

from typing import Any

import torch
from timm.models import register_model
from timm.models.resnet import BasicBlock, ResNet

KINDS = 18
"""Kinds of garments that the second network distinguishes: the nouns of drawing/captions.py."""


@register_model
def studio_resnet(pretrained: bool = False, **kwargs: Any) -> ResNet:
    """A ResNet-D of 1.6 M parameters whose plain 3 x 3 convolutions suit a CPU.

    Follows timm's ResNet (He et al., 2015; He et al., 2018): four stages of one basic block.
    """
    return _build((1, 1, 1, 1), (32, 64, 144, 288), pretrained, kwargs)


def kinds_resnet(**kwargs: Any) -> ResNet:
    """Like `studio_resnet`, with two blocks per stage (2.8 M parameters) and one logit per kind."""
    return _build((2, 2, 2, 2), (32, 64, 128, 256), False, {**kwargs, "num_classes": KINDS})


@register_model
def studio_garment(pretrained: bool = False, **kwargs: Any) -> "GarmentNetwork":
    """Builds a module of both networks, with the arguments of `studio_resnet`."""
    return GarmentNetwork(studio_resnet(pretrained, **kwargs), kinds_resnet())


class GarmentNetwork(torch.nn.Module):
    """A picture's vector, shifted towards the text of the garment's kind.

    `looks` maps a picture to the space of the texts; `kinds` is a classifier that was trained for
    the kind of garment only. Their predictions are added as logits. The vector is shifted by each
    kind's offset (`ways`), weighted by the probability of that kind: a picture that both networks
    classify as a skirt comes closer to the text "skirt" and to all other skirts. The offsets avoid
    the directions that distinguish colours and patterns.
    """

    def __init__(self, looks: ResNet, kinds: ResNet) -> None:
        super().__init__()
        self.looks, self.kinds = looks, kinds
        self.words = torch.nn.Parameter(torch.zeros(KINDS, looks.num_classes))
        self.ways = torch.nn.Parameter(torch.zeros(KINDS, looks.num_classes))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(n, 3, side, side) -> (n, dim), not of unit length.

        words: (KINDS, dim), scaled so that their products with unit vectors are logits. ways:
        (KINDS, dim), the offset of a picture whose kind is certain.
        """
        own = torch.nn.functional.normalize(self.looks(pictures), dim=-1)
        guesses = own @ self.words.T + self.kinds(pictures)
        moved: torch.Tensor = own + guesses.float().softmax(-1).to(own.dtype) @ self.ways
        return moved


def _build(
    layers: tuple[int, ...], channels: tuple[int, ...], pretrained: bool, kwargs: dict[str, Any]
) -> ResNet:
    if pretrained:
        raise ValueError("the studio's networks have no weights of their own; a checkpoint does")
    for factory_argument in ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"):
        kwargs.pop(factory_argument, None)
    return ResNet(
        BasicBlock,  # type: ignore[arg-type]
        layers=layers, channels=channels, stem_width=16, stem_type="deep_tiered", avg_down=True,
        **kwargs,
    )  # fmt: skip
