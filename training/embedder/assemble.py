"""The last step of the starter embedder's recipe: assembles both networks and the text encoder.

Run: python -m training.embedder.assemble --embedder FOLDER --kinds /tmp/kinds.safetensors
     --out models/starter/embedder
"""

import argparse
import json
from copy import deepcopy
from pathlib import Path

import open_clip
import torch
from safetensors.torch import load_file

from drawing.captions import NOUNS
from drawing.draw import COLOURS, PATTERNS
from models.checkpoints.weights import LOCAL_PREFIX
from models.embedder.embedder import Embedder, EmbedderConfig, load
from training.embedder.train import ARCHITECTURE, save

SHARE, SHARPNESS = 0.5, 1.5
"""The weight of the first network's logits, beside 1 for the second one's, and the factor of the
sum: mixed pictures and smoothed labels make a classifier underconfident."""
PULL = 1.5
"""How far a picture's vector moves towards its kind's word, relative to its own length."""
ASSEMBLED = deepcopy(ARCHITECTURE)
ASSEMBLED["vision_cfg"]["timm_model_name"] = "studio_garment"


def assemble(embedder: Path, kinds: Path) -> torch.nn.Module:
    """The embedder of a folder that `training.embedder.train` wrote, with the second network added.

    A kind's word is the mean vector of its noun's texts, each as "a photo of a ...".
    """
    model = load(EmbedderConfig(f"{LOCAL_PREFIX}{embedder}", device="cpu"))
    words = torch.stack([
        _mean(model, [f"a photo of a {word}" for word in noun.words]) for noun in NOUNS
    ])  # fmt: skip
    traits = torch.stack([_mean(model, [word, f"something {word}"]) for word in COLOURS + PATTERNS])
    tensors = load_file(embedder / "open_clip_model.safetensors")
    network: torch.nn.Module = open_clip.CLIP(**deepcopy(ASSEMBLED))
    state = network.state_dict()
    for name, tensor in tensors.items():
        state[name.replace("visual.trunk.", "visual.trunk.looks.")].copy_(tensor)
    for name, tensor in load_file(kinds).items():
        last = SHARPNESS if name.startswith("fc.") else 1
        state[f"visual.trunk.kinds.{name}"].copy_(last * tensor)
    scale = SHARPNESS * SHARE * tensors["logit_scale"].float().exp()
    state["visual.trunk.words"].copy_(scale * words)
    state["visual.trunk.ways"].copy_(PULL * _without_traits(words, traits))
    return network


def _mean(model: Embedder, texts: list[str]) -> torch.Tensor:
    """(dim,) of unit length."""
    mean = torch.from_numpy(model.embed_texts(texts)).mean(0)
    unit: torch.Tensor = torch.nn.functional.normalize(mean, dim=0)
    return unit


def _without_traits(words: torch.Tensor, traits: torch.Tensor) -> torch.Tensor:
    """The words' differences without the traits' directions: (n, dim) as words; traits (m, dim)."""
    directions: torch.Tensor = torch.linalg.qr((traits - traits.mean(0)).T).Q[:, : len(traits) - 1]
    differences = words - words.mean(0)
    return differences - differences @ directions @ directions.T


def main() -> None:
    """Writes the assembled model in open_clip's published format."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--embedder", "--kinds", "--out"):
        parser.add_argument(name, type=Path, required=True)
    args = parser.parse_args()
    save(assemble(args.embedder, args.kinds), args.out, ASSEMBLED)
    print(json.dumps({"written": str(args.out)}))


if __name__ == "__main__":
    main()
