"""Checkpoints of the production profile as folders: published formats, tiny or full-size networks.

The parser and SAM are the trained ones that the repository ships, which are in the same formats: a
random parser would find no person and no garment, and every answer would be a refusal.
"""

import json
from pathlib import Path

import open_clip
import torch

from models.checkpoints.weights import STARTER_FOLDER
from models.segmenter.sam_checkpoint import PUBLISHED
from training.published.networks import write_embedder, write_sam
from training.published.random_weights import Weights
from training.published.sdxl import (
    ADAPTER_FILE,
    ADAPTER_FOLDER,
    VIT_H,
    Sdxl,
    write_adapter,
    write_sdxl,
)

EMBEDDER = "ViT-B-16-SigLIP"
"""The architecture of the profile's embedder."""
TINY_EMBEDDER = "studio-tiny-siglip"
TINY_TEXT = {
    "hidden_size": 32, "intermediate_size": 37, "num_attention_heads": 4, "num_hidden_layers": 2,
    "projection_dim": 32,
}  # fmt: skip
TINY_EYES = TINY_TEXT | {"patch_size": 14, "image_size": 28, "projection_dim": 16}
TINY_SDXL = Sdxl(
    unet={
        "sample_size": 32, "in_channels": 9, "out_channels": 4, "block_out_channels": [8, 16],
        "norm_num_groups": 4, "layers_per_block": 1,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"], "attention_head_dim": [2, 4],
        "use_linear_projection": True, "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8, "transformer_layers_per_block": [1, 1],
        "projection_class_embeddings_input_dim": 80, "cross_attention_dim": 64,
    },
    vae={
        "block_out_channels": [4, 4, 8, 8], "norm_num_groups": 4, "layers_per_block": 1,
        "latent_channels": 4, "force_upcast": False, "mid_block_add_attention": False,
        "down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4,
    },
    text=TINY_TEXT, text_2=TINY_TEXT,
)  # fmt: skip
"""As deep as the published VAE, which makes the latents an eighth of the picture's size."""


def write_tiny(folder: Path) -> dict[str, str]:
    """Writes tiny networks (3 MB); returns the `STUDIO_*` variables that name the checkpoints."""
    weights = Weights(torch.float16, pool=65_537)
    register_tiny_embedder(folder)
    starter = {
        "STUDIO_PARSER": f"local-dir:{STARTER_FOLDER / 'parser'}",
        "STUDIO_SAM": f"local-dir:{STARTER_FOLDER / 'sam'}",
    }
    return starter | _write(folder, weights, TINY_EMBEDDER, TINY_SDXL, TINY_EYES)


def write_full_size(folder: Path) -> dict[str, str]:
    """Writes the networks at their published sizes, with random weights (10 GB).

    The parser is the repository's, which is the profile's default.
    """
    weights = Weights(torch.float16)
    (folder / "sam").mkdir(parents=True)
    write_sam(folder / "sam" / "sam_vit_b_01ec64.pth", weights, PUBLISHED["vit_b"])
    return {
        "STUDIO_PARSER": f"local-dir:{STARTER_FOLDER / 'parser'}",
        "STUDIO_SAM": f"local-dir:{folder / 'sam'}",
    } | _write(folder, weights, EMBEDDER, Sdxl(), VIT_H)


def _write(
    folder: Path, weights: Weights, embedder: str, sdxl: Sdxl, eyes: dict[str, object]
) -> dict[str, str]:
    (folder / "fashion-siglip").mkdir(parents=True)
    write_embedder(folder / "fashion-siglip", weights, embedder)
    write_sdxl(folder / "sdxl-inpainting", weights, sdxl)
    write_adapter(folder / "ip-adapter", weights, eyes, sdxl.unet)
    return {
        "STUDIO_EMBEDDER": f"local-dir:{folder / 'fashion-siglip'}",
        "STUDIO_TRYON": f"local-dir:{folder / 'sdxl-inpainting'}",
        "STUDIO_TRYON_ADAPTER": f"{folder / 'ip-adapter'}:{ADAPTER_FOLDER}:{ADAPTER_FILE}",
    }


def register_tiny_embedder(folder: Path) -> None:
    """Adds SigLIP's architecture with small towers to those that open_clip knows by name."""
    config = open_clip.get_model_config(EMBEDDER)
    config["vision_cfg"] |= {
        "timm_model_name": "vit_tiny_patch16_224", "timm_model_pretrained": False,
        "timm_pool": "avg", "timm_proj": "linear",
    }  # fmt: skip
    config["text_cfg"] |= {"width": 32, "heads": 4, "layers": 2}
    path = folder / f"{TINY_EMBEDDER}.json"
    path.write_text(json.dumps(config))
    open_clip.add_model_config(path)
