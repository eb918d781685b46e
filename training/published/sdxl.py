"""Try-on's published networks as folders: SDXL inpainting and its IP-Adapter, random weights."""

import json
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from training.published.random_weights import (
    Weights,
    on_meta,
    sample_sum,
    save_diffusers,
    save_text_encoder,
    save_transformers,
)

Config = dict[str, Any]
ADAPTER_FOLDER, ADAPTER_FILE = "sdxl_models", "ip-adapter_sdxl.safetensors"
ADAPTER_TOKENS = 4
VIT_BIGG: Config = {
    "hidden_size": 1664, "intermediate_size": 8192, "num_hidden_layers": 48,
    "num_attention_heads": 16, "projection_dim": 1280, "patch_size": 14, "image_size": 224,
    "hidden_act": "gelu",
}  # fmt: skip
"""The image encoder of `h94/IP-Adapter:sdxl_models`, the largest of its adapters."""
VIT_H: Config = VIT_BIGG | {
    "hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "projection_dim": 1024,
}  # fmt: skip
"""The one of `h94/IP-Adapter:models`, which the adapter of the production profile uses."""
IMAGE_ENCODERS: dict[str, Config] = {"vit-bigg": VIT_BIGG, "vit-h": VIT_H}


def _unet() -> Config:
    return {
        "sample_size": 128, "in_channels": 9, "out_channels": 4,
        "block_out_channels": [320, 640, 1280], "layers_per_block": 2,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        "attention_head_dim": [5, 10, 20], "transformer_layers_per_block": [1, 2, 10],
        "use_linear_projection": True, "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816,
        "cross_attention_dim": 2048,
    }  # fmt: skip


def _vae() -> Config:
    return {
        "sample_size": 1024, "block_out_channels": [128, 256, 512, 512], "layers_per_block": 2,
        "latent_channels": 4, "scaling_factor": 0.13025, "force_upcast": True,
        "down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4,
    }  # fmt: skip


def _small_text() -> Config:
    return {
        "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
        "num_attention_heads": 12, "projection_dim": 768, "hidden_act": "quick_gelu",
    }  # fmt: skip


def _large_text() -> Config:
    return {
        "hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32,
        "num_attention_heads": 20, "projection_dim": 1280, "hidden_act": "gelu",
    }  # fmt: skip


@dataclass(frozen=True)
class Sdxl:
    """Like `diffusers/stable-diffusion-xl-1.0-inpainting-0.1`, unless other configs are given."""

    unet: Config = field(default_factory=_unet)
    vae: Config = field(default_factory=_vae)
    text: Config = field(default_factory=_small_text)
    text_2: Config = field(default_factory=_large_text)


def write_sdxl(folder: Path, weights: Weights, sizes: Sdxl) -> dict[str, float]:
    """Writes the pipeline's folder; returns the `sample_sum` of each network."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    diffusers: Any = import_module("diffusers")  # which has no types

    def texts(kind: Any, config: Config) -> Any:
        return on_meta(lambda: kind(CLIPTextConfig(**config)))

    folder.mkdir(parents=True)
    write_tokenizer(folder / "tokenizer", "<|endoftext|>")
    write_tokenizer(folder / "tokenizer_2", "!")
    diffusers.EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1,
        timestep_spacing="leading",
    ).save_config(folder / "scheduler")  # fmt: skip
    index: dict[str, Any] = {
        "_class_name": "StableDiffusionXLInpaintPipeline", "_diffusers_version": "0.21.0.dev0",
        "force_zeros_for_empty_prompt": True, "requires_aesthetics_score": False,
        "scheduler": ["diffusers", "EulerDiscreteScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "tokenizer_2": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
    }  # fmt: skip
    (folder / "model_index.json").write_text(json.dumps(index, indent=2))
    small = texts(CLIPTextModel, sizes.text)
    large = texts(CLIPTextModelWithProjection, sizes.text_2)
    unet = on_meta(lambda: diffusers.UNet2DConditionModel(**sizes.unet))
    vae = on_meta(lambda: diffusers.AutoencoderKL(**sizes.vae))
    return {
        "text_encoder": save_text_encoder(small, weights, folder / "text_encoder"),
        "text_encoder_2": save_text_encoder(large, weights, folder / "text_encoder_2"),
        "unet": save_diffusers(unet, weights, folder / "unet"),
        "vae": save_diffusers(vae, weights, folder / "vae"),
    }


def write_tokenizer(folder: Path, padding: str) -> None:
    """Writes CLIP's vocabulary, which open_clip ships, as transformers saves it."""
    from open_clip.tokenizer import SimpleTokenizer
    from transformers import CLIPTokenizer

    folder.mkdir(parents=True)
    own = SimpleTokenizer()
    special = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    words = {special.get(word, word): code for word, code in own.encoder.items()}
    (folder / "vocab.json").write_text(json.dumps(words, ensure_ascii=False))
    merges = ["#version: 0.2", *(" ".join(pair) for pair in own.bpe_ranks)]
    (folder / "merges.txt").write_text("\n".join(merges) + "\n")
    CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77,
        pad_token=padding,
    ).save_pretrained(folder)  # fmt: skip


def write_adapter(
    folder: Path, weights: Weights, encoder: Config, unet: Config
) -> dict[str, float]:
    """Writes a plain IP-Adapter with its image encoder; returns the `sample_sum` of both."""
    from safetensors.torch import save_file
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    diffusers: Any = import_module("diffusers")
    inside = folder / ADAPTER_FOLDER
    inside.mkdir(parents=True)
    network = on_meta(lambda: diffusers.UNet2DConditionModel(**unet))
    shapes = adapter_shapes(network, int(encoder["projection_dim"]), unet["cross_attention_dim"])
    state = weights.of(shapes)
    save_file(state, inside / ADAPTER_FILE)
    eyes = on_meta(lambda: CLIPVisionModelWithProjection(CLIPVisionConfig(**encoder)))
    seeing = save_transformers(eyes, weights, inside / "image_encoder")
    return {"adapter": sample_sum(state), "image_encoder": seeing}


def adapter_shapes(unet: Any, image_width: int, text_width: int) -> dict[str, torch.Tensor]:
    """The adapter's empty tensors, for image features and text of these widths."""

    def empty(*shape: int) -> torch.Tensor:
        return torch.empty(*shape, device="meta")

    shapes = {
        "image_proj.proj.weight": empty(ADAPTER_TOKENS * text_width, image_width),
        "image_proj.proj.bias": empty(ADAPTER_TOKENS * text_width),
        "image_proj.norm.weight": empty(text_width), "image_proj.norm.bias": empty(text_width),
    }  # fmt: skip
    for place, name in enumerate(unet.attn_processors):
        if name.endswith("attn2.processor"):
            attention = unet.get_submodule(name.removesuffix(".processor"))
            width = attention.to_k.out_features
            shapes[f"ip_adapter.{place}.to_k_ip.weight"] = empty(width, text_width)
            shapes[f"ip_adapter.{place}.to_v_ip.weight"] = empty(width, text_width)
    return shapes
