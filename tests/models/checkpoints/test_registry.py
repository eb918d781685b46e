"""Every checkpoint of the registry loads by its name: tiny, in its published format, from a hub."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import pytest

from errors import SetupError
from models.checkpoints.hub import pins_of
from models.checkpoints.pins import NO_PINS, Pinning, write_lock
from models.checkpoints.registry import REGISTRY, Checkpoint, licence_of, require_licence
from models.checkpoints.weights import HUB_PREFIX
from models.embedder import embedder
from models.embedder.embedder import EmbedderConfig
from models.segmenter import parser, sam, sam_checkpoint
from models.segmenter.parser import ParserConfig
from models.segmenter.sam import SamConfig
from models.tryon.inpaint import PainterConfig, load_painter
from tests.models.segmenter.test_schp import write_schp
from tests.support.hub import Hub
from tests.support.published import (
    TINY_CLIP,
    TINY_SAM,
    TINY_SIGLIP,
    files_of,
    push_adapter,
    push_sam,
    push_sdxl,
    push_segformer,
    push_siglip,
    write_open_clip,
)

ADAPTER = "hf-hub:h94/IP-Adapter"
SDXL = "hf-hub:diffusers/stable-diffusion-xl-1.0-inpainting-0.1"
CHECKPOINTS = list(REGISTRY.values())


def push(hub: Hub, entry: Checkpoint) -> None:
    """The entry's repository, in its published format."""
    owner, name, *path = entry.name.removeprefix(HUB_PREFIX).split("/", 2)
    repository = f"{owner}/{name}"
    match entry.model:
        case "embedder" if entry.name.startswith(HUB_PREFIX):
            push_siglip(hub, repository)
        case "embedder":
            push_tag(hub, *entry.name.split("/"))
        case "parser" if path:
            hub.push(repository, files_of(lambda folder: write_schp(folder / path[0])))
        case "parser":
            push_segformer(hub, repository)
        case "sam":
            push_sam(hub, repository, path[0])
        case "tryon":
            push_sdxl(hub, SDXL.removeprefix(HUB_PREFIX))
            if entry.name == ADAPTER:
                push_adapter(hub, repository)
            else:
                push_sdxl(hub, repository)


def push_tag(hub: Hub, architecture: str, tag: str) -> None:
    """The repository that open_clip itself names for the tag."""
    repository = str(open_clip.get_pretrained_cfg(architecture, tag)["hf_hub"]).rstrip("/")
    if "SigLIP" in architecture:
        push_siglip(hub, repository)
    else:
        hub.push(repository, files_of(lambda folder: write_open_clip(folder, TINY_CLIP)))


def lock(path: Path, entry: Checkpoint) -> Pinning:
    """Pins the entry as `studio models lock` does, and refuses everything else."""
    names = [(entry.name, entry.model)]
    if entry.name == ADAPTER:
        names = [(SDXL, "tryon"), (f"{ADAPTER}:sdxl_models:ip-adapter_sdxl.safetensors", "tryon")]
    write_lock(path, dict(pin for name, model in names for pin in pins_of(name, model, "fp16")))
    return Pinning(path, required=True)


def load(entry: Checkpoint, pinning: Pinning) -> str:
    """Loads the entry with the product's own loader and runs it; returns its version."""
    match entry.model:
        case "embedder":
            network: Any = embedder.load(EmbedderConfig(entry.name, pinning=pinning))
        case "parser":
            network = parser.load(
                ParserConfig(entry.name, pinning=pinning, allow_noncommercial=not entry.commercial)
            )
        case "sam":
            network = sam.load(SamConfig(entry.name, pinning=pinning))
        case "tryon":
            painter, adapter = entry.name, None
            if entry.name == ADAPTER:
                painter = SDXL
                adapter = f"{entry.name}:sdxl_models:ip-adapter_sdxl.safetensors"
            config = PainterConfig(painter, adapter, "fp16", side=64, pinning=pinning)
            return load_painter(config).version
    network.check()
    version: str = network.version
    return version


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("entry", CHECKPOINTS, ids=[entry.name for entry in CHECKPOINTS])
def test_a_checkpoint_of_the_registry_loads_by_its_name(
    entry: Checkpoint, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for size in sam_checkpoint.PUBLISHED:
        monkeypatch.setitem(sam_checkpoint.PUBLISHED, size, TINY_SAM)
    push(hub, entry)
    if not entry.name.startswith(HUB_PREFIX):  # `push` makes open_clip read its own sizes again
        architecture = entry.name.split("/")[0]
        tiny = TINY_SIGLIP if "SigLIP" in architecture else TINY_CLIP
        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, architecture, tiny)
    is_pinned = entry.name.startswith(HUB_PREFIX)
    version = load(entry, lock(tmp_path / "models.lock", entry) if is_pinned else NO_PINS)
    if entry.model == "embedder":
        assert version.startswith("openclip-")
    elif entry.name != ADAPTER:
        assert version.startswith(entry.name.removeprefix(HUB_PREFIX).rsplit("/", 1)[-1][:10])


def test_the_rest_is_refused_without_a_word() -> None:
    """Names that were listed and that no loader of the studio can read are unknown now."""
    loads: list[tuple[str, Callable[[str], object]]] = [
        ("hf-hub:patrickjohncyh/fashion-clip", lambda name: embedder.load(EmbedderConfig(name))),
        ("hf-hub:fashn-ai/fashn-human-parser", lambda name: parser.load(ParserConfig(name))),
        ("hf-hub:facebook/sam-vit-base", lambda name: sam.load(SamConfig(name))),
    ]
    for name, open_checkpoint in loads:
        with pytest.raises(SetupError, match=f"{name} is: not known.*STUDIO_ALLOW_NONCOMMERCIAL"):
            open_checkpoint(name)
    for painter in ("zhengchong/CatVTON", "fashn-ai/fashn-vton-1.5"):
        with pytest.raises(SetupError, match="not known"):
            require_licence(painter, "tryon", allow_noncommercial=False)
        assert not licence_of(f"hf-hub:{painter}", "tryon").commercial
