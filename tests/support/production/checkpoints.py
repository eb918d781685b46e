"""Checkpoints of the production profile as folders in their published formats.

The parser and SAM are the trained ones that the repository ships, which are in the same formats: a
random parser would find no person and no garment, and every answer would be a refusal.
"""

import json
from pathlib import Path

import open_clip
import torch

from models.checkpoints.weights import STARTER_FOLDER
from tests.support.published import TINY_EYES, TINY_SDXL
from training.published.networks import write_embedder
from training.published.random_weights import Weights
from training.published.sdxl import ADAPTER_FILE, ADAPTER_FOLDER, write_adapter, write_sdxl

EMBEDDER = "ViT-B-16-SigLIP"
"""The architecture of the profile's embedder."""
TINY_EMBEDDER = "studio-tiny-siglip"


def write_tiny(folder: Path) -> dict[str, str]:
    """Writes tiny networks (3 MB); returns the `STUDIO_*` variables that name the checkpoints."""
    weights = Weights(torch.float16, pool=65_537)
    register_tiny_embedder(folder)
    (folder / "fashion-siglip").mkdir(parents=True)
    write_embedder(folder / "fashion-siglip", weights, TINY_EMBEDDER)
    write_sdxl(folder / "sdxl-inpainting", weights, TINY_SDXL)
    write_adapter(folder / "ip-adapter", weights, TINY_EYES, TINY_SDXL.unet)
    return {
        "STUDIO_EMBEDDER": f"local-dir:{folder / 'fashion-siglip'}",
        "STUDIO_PARSER": f"local-dir:{STARTER_FOLDER / 'parser'}",
        "STUDIO_SAM": f"local-dir:{STARTER_FOLDER / 'sam'}",
        "STUDIO_TRYON": f"local-dir:{folder / 'sdxl-inpainting'}",
        "STUDIO_TRYON_ADAPTER": f"{folder / 'ip-adapter'}:{ADAPTER_FOLDER}:{ADAPTER_FILE}",
    }


def write_full_size_embedder(folder: Path) -> dict[str, str]:
    """Writes the embedder at its published size (400 MB) beside the tiny networks.

    SDXL and SAM at their sizes can't answer a health check in time on a CPU;
    tests/proof/test_production_size.py runs them once.
    """
    tiny = write_tiny(folder)
    place = folder / "full-size" / "fashion-siglip"
    place.mkdir(parents=True)
    write_embedder(place, Weights(torch.float16), EMBEDDER)
    return tiny | {"STUDIO_EMBEDDER": f"local-dir:{place}"}


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
