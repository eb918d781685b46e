"""The starter embedder's image network, registered with timm for open_clip's factory to build."""

from typing import Any

from timm.models import register_model
from timm.models.resnet import BasicBlock, ResNet


@register_model
def studio_resnet(pretrained: bool = False, **kwargs: Any) -> ResNet:
    """A ResNet-D of 1.8 M parameters whose plain 3 x 3 convolutions suit a CPU.

    Follows timm's ResNet (He et al., 2015; He et al., 2018): four stages of one basic block.
    """
    if pretrained:
        raise ValueError("studio_resnet has no weights of its own; a checkpoint brings them")
    for factory_argument in ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"):
        kwargs.pop(factory_argument, None)
    return ResNet(
        BasicBlock,  # type: ignore[arg-type]
        layers=(1, 1, 1, 1), channels=(32, 64, 144, 288), stem_width=16,
        stem_type="deep_tiered", avg_down=True, **kwargs,
    )  # fmt: skip
