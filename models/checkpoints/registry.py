"""The published checkpoints that the loaders were tried with, and their licences."""

from dataclasses import dataclass
from typing import Literal

from errors import SetupError
from models.checkpoints.weights import HUB_PREFIX, LOCAL_PREFIX, checkpoint_folder

Model = Literal["embedder", "parser", "sam", "tryon"]


@dataclass(frozen=True)
class Checkpoint:
    """A published checkpoint.

    commercial: whether its licence allows commercial use. backend: of a try-on checkpoint, the
    loader in `models.tryon.inpaint.BACKENDS`; it is also that of checkpoints that aren't listed.
    """

    name: str
    model: Model
    licence: str
    commercial: bool
    backend: str = "inpainting"


REGISTRY: dict[str, Checkpoint] = {
    entry.name: entry
    for entry in (
        Checkpoint("hf-hub:Marqo/marqo-fashionSigLIP", "embedder", "Apache-2.0", True),
        Checkpoint("hf-hub:Marqo/marqo-fashionCLIP", "embedder", "Apache-2.0", True),
        Checkpoint("ViT-B-16/laion2b_s34b_b88k", "embedder", "MIT", True),
        Checkpoint("ViT-B-32/laion2b_s34b_b79k", "embedder", "MIT", True),
        Checkpoint("ViT-B-16-SigLIP/webli", "embedder", "Apache-2.0", True),
        # A copy of the file that SCHP's authors publish without terms of its own, outside of a hub;
        # their repository is under MIT. The card of the starter parser has its SHA-256.
        Checkpoint("hf-hub:panyanyany/Self-Correction-Human-Parsing/schp/"
                   "exp-schp-201908301523-atr.pth", "parser", "MIT", True),
        # Fine-tuned from MiT weights. Their licence allows research and evaluation only
        # (section 3.3), and it applies to derived weights too (section 3.2).
        Checkpoint("hf-hub:mattmdjaga/segformer_b2_clothes", "parser", "NVIDIA non-commercial",
                   False),
        Checkpoint("hf-hub:sayeed99/segformer_b3_clothes", "parser", "NVIDIA non-commercial",
                   False),
        Checkpoint("hf-hub:ybelkada/segment-anything/checkpoints/sam_vit_b_01ec64.pth", "sam",
                   "Apache-2.0", True),
        Checkpoint("hf-hub:ybelkada/segment-anything/checkpoints/sam_vit_l_0b3195.pth", "sam",
                   "Apache-2.0", True),
        Checkpoint("hf-hub:ybelkada/segment-anything/checkpoints/sam_vit_h_4b8939.pth", "sam",
                   "Apache-2.0", True),
        Checkpoint("hf-hub:diffusers/stable-diffusion-xl-1.0-inpainting-0.1", "tryon",
                   "CreativeML OpenRAIL++-M", True),
        Checkpoint("hf-hub:stable-diffusion-v1-5/stable-diffusion-inpainting", "tryon",
                   "CreativeML OpenRAIL-M", True),
        Checkpoint("hf-hub:h94/IP-Adapter", "tryon", "Apache-2.0", True),
    )
}  # fmt: skip
"""Every checkpoint here loads by its name, as `tests/models/checkpoints/test_registry.py` shows."""


def licence_of(checkpoint: str, model: Model) -> Checkpoint:
    """The licence of a checkpoint, by its name.

    The shipped weights are the project's own. The operator is responsible for the licence of files
    in a folder. Any other name that isn't listed counts as non-commercial.
    """
    entry = REGISTRY.get(checkpoint) or REGISTRY.get(HUB_PREFIX + checkpoint)
    if entry is not None and entry.model == model:
        return entry
    if checkpoint == "starter":
        return Checkpoint(checkpoint, model, "the project's own", True)
    local = checkpoint.startswith(LOCAL_PREFIX) or checkpoint.endswith((".pth", ".safetensors"))
    hub = checkpoint.startswith(HUB_PREFIX)
    if not hub and (local or checkpoint_folder(checkpoint, starter=model) is not None):
        return Checkpoint(checkpoint, model, "known to the folder's owner", True)
    return Checkpoint(checkpoint, model, "not known to this studio", False)


def require_licence(checkpoint: str, model: Model, *, allow_noncommercial: bool) -> Checkpoint:
    """The checkpoint's entry, if it may be loaded.

    Raises:
        SetupError: its licence forbids commercial use or is not known, and the operator has not
            consented.
    """
    entry = licence_of(checkpoint, model)
    if entry.commercial or allow_noncommercial:
        return entry
    raise SetupError(
        f"the licence of the {model} {checkpoint} is: {entry.licence}. It is loaded only with "
        "STUDIO_ALLOW_NONCOMMERCIAL=true, which states that your use is allowed"
    )
