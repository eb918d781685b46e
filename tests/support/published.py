"""Tiny repositories in the formats of published checkpoints, as files for `tests.support.hub`."""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import open_clip
import torch
from safetensors.torch import load_file, save_file

from models.segmenter.sam_checkpoint import SamArchitecture, build
from tests.support.hub import Files, Hub
from training.published.networks import write_segformer, write_words
from training.published.random_weights import Weights
from training.published.sdxl import Sdxl, write_adapter, write_sdxl

TOKENIZER = "timm/ViT-B-16-SigLIP"
"""The repository whose tokenizer SigLIP's kin borrow."""
TINY_SIGLIP = {
    "embed_dim": 16, "init_logit_bias": -10, "custom_text": True,
    "vision_cfg": {"image_size": 32, "timm_model_name": "test_vit",
                   "timm_model_pretrained": False, "timm_pool": "avg", "timm_proj": "linear"},
    "text_cfg": {"context_length": 16, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1,
                 "hf_tokenizer_name": TOKENIZER, "tokenizer_kwargs": {"clean": "canonicalize"},
                 "no_causal_mask": True, "proj_bias": True, "pool_type": "last",
                 "norm_kwargs": {"eps": 1e-6}},
}  # fmt: skip
TINY_CLIP = {
    "embed_dim": 16, "vision_cfg": {"image_size": 32, "layers": 1, "width": 16, "head_width": 8,
                                    "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}  # fmt: skip
TINY_SAM = SamArchitecture(
    image_size=64, patch=16, width=32, depth=2, heads=2, global_layers=(1,), window=2,
    prompt_width=32, decoder_mlp=32, decoder_heads=2, iou_hidden=16,
)  # fmt: skip
TINY_SEGFORMER = {
    "hidden_sizes": [8, 8, 16, 16], "depths": [1] * 4, "decoder_hidden_size": 16,
    "num_attention_heads": [1, 1, 2, 2],
}  # fmt: skip
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


def files_of(write: Callable[[Path], object]) -> Files:
    """The files that a function writes into an empty folder."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        write(folder)
        paths = [path for path in folder.rglob("*") if path.is_file()]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def random_weights() -> Weights:
    return Weights(torch.float16, pool=65_537)


def push_siglip(hub: Hub, repository: str) -> None:
    """An open_clip checkpoint, and the repository whose tokenizer it borrows."""
    words = files_of(write_words) | {"open_clip_config.json": b"{}"}
    network = files_of(lambda folder: write_open_clip(folder, TINY_SIGLIP))
    hub.push(TOKENIZER, words)
    hub.push(repository, network if repository != TOKENIZER else words | network)


def write_open_clip(folder: Path, architecture: dict[str, Any]) -> None:
    """A network that is built like open_clip's own, with its weights and config."""
    name = "studio-tiny-" + "-".join(sorted(architecture))
    path = folder / f"{name}.json"
    path.write_text(json.dumps(architecture))
    open_clip.add_model_config(path)
    path.unlink()
    torch.manual_seed(0)
    network = open_clip.create_model(name, load_weights=False, pretrained_text=False)
    save_file(
        {key: tensor.contiguous() for key, tensor in network.state_dict().items()},
        folder / "open_clip_model.safetensors",
    )
    preprocessing = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic",
                     "resize_mode": "squash"}  # fmt: skip
    config = {"model_cfg": architecture, "preprocess_cfg": preprocessing}
    (folder / "open_clip_config.json").write_text(json.dumps(config))


def push_segformer(hub: Hub, repository: str) -> None:
    """A SegFormer with ATR's classes."""
    hub.push(
        repository,
        files_of(lambda folder: write_segformer(folder, random_weights(), TINY_SEGFORMER, 64)),
    )


def push_sam(hub: Hub, repository: str, file: str) -> None:
    """segment-anything's file, of the size of `TINY_SAM`."""
    torch.manual_seed(0)

    def write(folder: Path) -> None:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        torch.save(build(TINY_SAM).state_dict(), folder / file)

    hub.push(repository, files_of(write))


def push_sdxl(hub: Hub, repository: str) -> None:
    """An inpainting pipeline with its weights in both precisions."""

    def write(folder: Path) -> None:
        write_sdxl(folder / "pipeline", random_weights(), TINY_SDXL)
        for file in (folder / "pipeline").rglob("*.safetensors"):
            half = load_file(file)
            save_file(half, file.with_name(f"{file.stem}.fp16.safetensors"), {"format": "pt"})
            full = {name: tensor.float() for name, tensor in half.items()}
            save_file(full, file, {"format": "pt"})

    files = files_of(write)
    hub.push(repository, {name.removeprefix("pipeline/"): data for name, data in files.items()})


def push_adapter(hub: Hub, repository: str) -> None:
    """An IP-Adapter for the pipeline of `push_sdxl`."""

    def write(folder: Path) -> None:
        write_adapter(folder / "adapter", random_weights(), TINY_EYES, TINY_SDXL.unet)

    files = files_of(write)
    hub.push(repository, {name.removeprefix("adapter/"): data for name, data in files.items()})
