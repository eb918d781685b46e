"""What a hub says about a checkpoint: its present revision, and the files that a loader reads."""

# ruff: noqa: PLC0415 - only operators' commands ask a hub

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from errors import SetupError
from models.checkpoints import Model
from models.pins import Pin
from models.weights import HUB_PREFIX

TOKENIZER = (
    r"(tokenizer[^/]*|special_tokens_map|added_tokens|vocab|merges|spiece)\.(json|txt|model)"
)
READ: dict[Model, str] = {
    "embedder": rf"open_clip_[^/]+|{TOKENIZER}",
    "parser": r"(config|preprocessor_config)\.json|model\.safetensors|pytorch_model\.bin",
    "sam": r".+",
    "tryon": r"model_index\.json|.+/[^/]+\.(json|txt|model|safetensors|bin)",
}
"""Paths that the loader of a model reads."""
VARIANT = re.compile(r"\.(fp16|fp32|bf16|non_ema|ema)\.|(flax|tf|onnx|openvino)_")
PICKLED = (".bin", ".pth", ".pt")


def pins_of(checkpoint: str, model: Model) -> Iterator[tuple[str, Pin]]:
    """The pins of a checkpoint and of the tokenizer that it borrows, by their names in the lock.

    checkpoint: "hf-hub:owner/name", for SAM with "/path/of/file", for an adapter
    "owner/name:folder:file".

    Raises:
        SetupError: the hub doesn't know it or can't be reached, or nothing in it can be loaded.
    """
    name = checkpoint.removeprefix(HUB_PREFIX)
    repository, chosen = _split(name)
    pin = _pin(repository, READ[model], chosen)
    yield name, pin
    if model == "embedder" and (tokenizer := borrowed_tokenizer(_download(pin, CONFIG))):
        yield tokenizer, _pin(tokenizer, TOKENIZER, ())


CONFIG = "open_clip_config.json"


def borrowed_tokenizer(config: Path) -> str | None:
    """The repository whose tokenizer an open_clip checkpoint uses; None: its own or open_clip's.

    Raises:
        SetupError: it borrows a whole text tower, which can't be pinned.
    """
    text = json.loads(config.read_text())["model_cfg"].get("text_cfg", {})
    if text.get("hf_model_name"):
        raise SetupError(
            f"the embedder builds its text tower from {text['hf_model_name']}, which can't be "
            "pinned: use another embedder"
        )
    return text.get("hf_tokenizer_name") or None


def _split(name: str) -> tuple[str, tuple[str, ...]]:
    """owner/name, and the beginnings of the paths that are needed of it; none: all."""
    if ":" in name:
        repository, folder, file = name.split(":")
        return repository, (f"{folder}/{file}", f"{folder}/image_encoder/")
    owner, repository, *path = name.split("/", 2)
    return f"{owner}/{repository}", tuple(path)


def _select(files: Iterable[str], pattern: str, chosen: tuple[str, ...]) -> list[str]:
    """Without other precisions and frameworks, and without pickles where safetensors are."""
    read = [
        file
        for file in files
        if re.fullmatch(pattern, file)
        and (not chosen or file.startswith(chosen))
        and not VARIANT.search(file)
    ]
    safe = {str(Path(file).parent) for file in read if file.endswith(".safetensors")}
    return [
        file for file in read if not (file.endswith(PICKLED) and str(Path(file).parent) in safe)
    ]


def _pin(repository: str, pattern: str, chosen: tuple[str, ...]) -> Pin:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        info = HfApi().model_info(repository, files_metadata=True)
        known = {one.rfilename: one.lfs.sha256 if one.lfs else "" for one in info.siblings or []}
        pin = Pin(
            repository,
            str(info.sha),
            {file: known[file] for file in _select(known, pattern, chosen)},
        )
        for file, sha256 in pin.files.items():
            if not sha256:  # a small file: the hub knows git's own hash of it alone
                pin.files[file] = hashlib.sha256(_download(pin, file).read_bytes()).hexdigest()
    except (OSError, HfHubHTTPError, ValueError) as error:
        raise SetupError(f"{repository} can't be looked up: {type(error).__name__}") from error
    if not pin.files:
        raise SetupError(f"{repository} has no file that a loader could read")
    return pin


def _download(pin: Pin, file: str) -> Path:
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(pin.repository, file, revision=pin.revision))
