"""Checkpoints of segment-anything: their sizes, their tensors, and the network built of them."""

# ruff: noqa: PLC0415 - torch is imported when a model is loaded; the sizes need no torch

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.checkpoints.pins import Pinning
from models.checkpoints.single_file import open_single_file
from models.checkpoints.weights import read_tensors
from models.segmenter.shapes import Plane

CONFIG_FILE, WEIGHTS_FILE = "sam_config.json", "model.safetensors"


@dataclass(frozen=True)
class SamArchitecture:
    """The sizes that `segment_anything.build_sam` fixes for its three checkpoints."""

    image_size: int = 1024
    patch: int = 16
    width: int = 768
    depth: int = 12
    heads: int = 12
    global_layers: tuple[int, ...] = (2, 5, 8, 11)
    window: int = 14
    prompt_width: int = 256
    decoder_depth: int = 2
    decoder_heads: int = 8
    decoder_mlp: int = 2048
    iou_hidden: int = 256


@dataclass(frozen=True)
class Acceptance:
    """The least values of an accepted cutout: its IoU as the network predicts it, and its IoU with
    the parser's mask. `benchmarks/segmentation/sam_acceptance.py` measures these thresholds.
    """

    iou: float = 0.9
    agreement: float = 0.9


PUBLISHED: dict[str, SamArchitecture] = {
    "vit_b": SamArchitecture(),
    "vit_l": SamArchitecture(width=1024, depth=24, heads=16, global_layers=(5, 11, 17, 23)),
    "vit_h": SamArchitecture(width=1280, depth=32, heads=16, global_layers=(7, 15, 23, 31)),
}


def build(architecture: SamArchitecture) -> Any:
    """The network of these sizes, untrained: segment-anything's classes put together as its own
    builder does, which fixes the sizes.
    """
    from functools import partial

    import torch
    from segment_anything.modeling import (
        ImageEncoderViT,
        MaskDecoder,
        PromptEncoder,
        Sam,
        TwoWayTransformer,
    )

    a = architecture
    side = a.image_size // a.patch
    mean, spread = pixel_statistics()
    return Sam(
        image_encoder=ImageEncoderViT(
            depth=a.depth, embed_dim=a.width, img_size=a.image_size, mlp_ratio=4,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6), num_heads=a.heads,
            patch_size=a.patch, qkv_bias=True, use_rel_pos=True,
            global_attn_indexes=a.global_layers, window_size=a.window, out_chans=a.prompt_width,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=a.prompt_width, image_embedding_size=(side, side),
            input_image_size=(a.image_size, a.image_size), mask_in_chans=16,
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(
                depth=a.decoder_depth, embedding_dim=a.prompt_width, mlp_dim=a.decoder_mlp,
                num_heads=a.decoder_heads,
            ),
            transformer_dim=a.prompt_width, iou_head_depth=3, iou_head_hidden_dim=a.iou_hidden,
        ),
        pixel_mean=mean.tolist(), pixel_std=spread.tolist(),
    )  # fmt: skip


def read_checkpoint(
    checkpoint: str, pinning: Pinning
) -> tuple[SamArchitecture, Acceptance, dict[str, Any]]:
    """A checkpoint's sizes, its acceptance, and its tensors, in either format.

    Raises:
        ValueError: the checkpoint has an unknown format, or names no file of a hub's repository.
        OSError: there is no such file.
    """
    import torch

    with open_single_file(checkpoint, pinning, starter="sam", example="sam_vit_b_….pth") as path:
        if path.is_dir() and (path / CONFIG_FILE).exists():
            sizes = json.loads((path / CONFIG_FILE).read_text())
            sizes["global_layers"] = tuple(sizes["global_layers"])
            acceptance = Acceptance(**sizes.pop("acceptance", {}))
            return SamArchitecture(**sizes), acceptance, read_tensors(path / WEIGHTS_FILE)
        file = next(iter(sorted(path.glob("sam_vit_*.pth"))), path) if path.is_dir() else path
        for name, architecture in PUBLISHED.items():
            if file.name.startswith(f"sam_{name}"):
                state = torch.load(file, map_location="cpu", weights_only=True)
                return architecture, Acceptance(), state
    raise ValueError(f"{checkpoint!r} holds no {CONFIG_FILE} and no sam_vit_b, _l or _h .pth file")


def pixel_statistics() -> tuple[Plane, Plane]:
    """segment-anything's mean and standard deviation of RGB in 0..255, (3,) float32 each."""
    mean = np.array([123.675, 116.28, 103.53], np.float32)
    return mean, np.array([58.395, 57.12, 57.375], np.float32)
