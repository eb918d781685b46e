"""The files of a hub's checkpoint that its loader reads: their pins, and where they lie."""

# ruff: noqa: PLC0415 - only operators' commands query a hub

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from errors import SetupError
from models.checkpoints.adapter import AdapterName
from models.checkpoints.pins import Pin, Pinning, find_pin, hub_errors
from models.checkpoints.registry import Model
from models.checkpoints.variants import select_weights
from models.checkpoints.weights import HUB_PREFIX

TOKENIZER = (
    r"(tokenizer[^/]*|special_tokens_map|added_tokens|vocab|merges|spiece)\.(json|txt|model)"
)
READ: dict[Model, str] = {
    "embedder": rf"open_clip_[^/]+|{TOKENIZER}",
    "parser": r"(config|preprocessor_config)\.json|model\.safetensors|pytorch_model\.bin"
    r"|(.+/)?exp-schp-[^/]+\.pth",
    "sam": r".+",
    "tryon": r"model_index\.json|.+/[^/]+\.(json|txt|model|safetensors|bin)",
}
"""The paths that a model's loader reads, as patterns."""
CONFIG_FILE = "open_clip_config.json"
PICKLED = (".bin", ".pth", ".pt")


def pins_of(checkpoint: str, model: Model, precision: str) -> Iterator[tuple[str, Pin]]:
    """The pins of a checkpoint and of the tokenizer that it borrows, by their names in the lock.

    checkpoint: "hf-hub:owner/name", for SAM with "/path/of/file", for an adapter as `AdapterName`.
    precision: of the network; where the hub has weights in half precision, they are pinned for it.

    Raises:
        SetupError: the hub does not have the checkpoint or can't be reached, or the checkpoint has
            no loadable file.
    """
    name = checkpoint.removeprefix(HUB_PREFIX)
    repository, prefixes = _split(name)
    pin = _pin(repository, READ[model], prefixes, precision)
    yield name, pin
    if model == "embedder" and (tokenizer := borrowed_tokenizer(_download(pin, CONFIG_FILE))):
        yield tokenizer, _pin(tokenizer, TOKENIZER, (), precision)


def open_pinned(
    checkpoint: str, pinning: Pinning, open_pin: Callable[[Pin], Path]
) -> Iterator[tuple[str, Pin, Path]]:
    """The name, the pin and the folder of a checkpoint and of the tokenizer that it borrows.

    open_pin: `fetch` or `require_cached`. Yields nothing if it is not pinned and need not be.

    Raises:
        SetupError: as `open_pin`; or the checkpoint must be pinned and is not.
    """
    pin = find_pin(checkpoint, pinning)
    if pin is None:
        return
    folder = open_pin(pin)
    yield checkpoint.removeprefix(HUB_PREFIX), pin, folder
    if CONFIG_FILE in pin.files and (tokenizer := borrowed_tokenizer(folder / CONFIG_FILE)):
        borrowed = find_pin(tokenizer, pinning)
        if borrowed is not None:
            yield tokenizer, borrowed, open_pin(borrowed)


def borrowed_tokenizer(config: Path) -> str | None:
    """The repository whose tokenizer an open_clip checkpoint uses.

    None if the checkpoint has a tokenizer of its own, or uses open_clip's.

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
    """owner/name, and the prefixes of the paths that are needed; none means all paths."""
    if ":" in name:
        adapter = AdapterName.parse(name)
        return adapter.repository, adapter.paths
    owner, repository, *path = name.split("/", 2)
    return f"{owner}/{repository}", tuple(path)


def _select(
    files: Iterable[str], pattern: str, prefixes: tuple[str, ...], precision: str
) -> list[str]:
    """The files to load: of one precision, and no pickle files in a folder with safetensors."""
    loadable = [
        file
        for file in files
        if re.fullmatch(pattern, file) and (not prefixes or file.startswith(prefixes))
    ]
    safe = {str(Path(file).parent) for file in loadable if file.endswith(".safetensors")}
    return select_weights(
        (file for file in loadable
         if not (file.endswith(PICKLED) and str(Path(file).parent) in safe)),
        precision,
    )  # fmt: skip


def _pin(repository: str, pattern: str, prefixes: tuple[str, ...], precision: str) -> Pin:
    from huggingface_hub import HfApi

    with hub_errors(f"{repository} can't be looked up"):
        info = HfApi().model_info(repository, files_metadata=True)
        hashes = {
            file.rfilename: file.lfs.sha256 if file.lfs else "" for file in info.siblings or []
        }
        pin = Pin(
            repository,
            str(info.sha),
            {file: hashes[file] for file in _select(hashes, pattern, prefixes, precision)},
        )
        for file, sha256 in pin.files.items():
            if not sha256:  # for a small file the hub has only git's own hash
                pin.files[file] = hashlib.sha256(_download(pin, file).read_bytes()).hexdigest()
    if not pin.files:
        raise SetupError(f"{repository} has no file that a loader could read")
    return pin


def _download(pin: Pin, file: str) -> Path:
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(pin.repository, file, revision=pin.revision))
