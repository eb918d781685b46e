"""The folder of a checkpoint, its files of tensors, and the fingerprint that names it."""

# ruff: noqa: PLC0415 - torch and safetensors are imported only where tensors are used

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

STARTER_FOLDER = Path(__file__).resolve().parents[1] / "starter"
LOCAL_PREFIX = "local-dir:"
HUB_PREFIX = "hf-hub:"


def checkpoint_folder(checkpoint: str, starter: str) -> Path | None:
    """The folder of a checkpoint; None for a hub's name or a library's tag.

    checkpoint: "starter", "local-dir:/path", or a path of a folder that exists. starter: the name
    of this model's folder among the shipped weights.
    """
    if checkpoint == "starter":
        return STARTER_FOLDER / starter
    if checkpoint.startswith(LOCAL_PREFIX):
        return Path(checkpoint.removeprefix(LOCAL_PREFIX))
    if checkpoint.startswith(HUB_PREFIX):
        return None
    folder = Path(checkpoint)
    return folder if folder.is_dir() else None


@contextmanager
def naming_checkpoint(checkpoint: str) -> Iterator[None]:
    """Adds the checkpoint's name to the traceback of what its loader raises.

    Libraries say what is wrong with a damaged file, and not which file it is.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, RuntimeError, ValueError, KeyError, SafetensorError) as error:
        error.add_note(f"while loading the checkpoint {checkpoint}")
        raise


def short_name(checkpoint: str) -> str:
    """A checkpoint's name without its path or owner, for use in a version."""
    if checkpoint.startswith((LOCAL_PREFIX, HUB_PREFIX)) or Path(checkpoint).is_dir():
        return checkpoint.rstrip("/").rsplit("/", 1)[-1].removeprefix(LOCAL_PREFIX)
    return checkpoint.replace("/", "-")


def fingerprint(tensors: "Mapping[str, torch.Tensor]", config: object) -> str:
    """The first 12 hex digits of the sha256 over config and every tensor: name, type, shape, bytes.

    config: a value that `json.dumps` accepts; it should include the preprocessing of inputs.
    """
    import torch

    digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:12]


def read_tensors(path: Path) -> "dict[str, torch.Tensor]":
    """All tensors of a safetensors file, on the CPU, in their stored types."""
    from safetensors.torch import load_file

    return load_file(path)


def write_tensors(path: Path, tensors: "Mapping[str, torch.Tensor]") -> None:
    """Writes tensors as safetensors, floating-point ones as float16."""
    import torch
    from safetensors.torch import save_file

    def stored(tensor: torch.Tensor) -> torch.Tensor:
        array = tensor.detach().cpu().contiguous()
        return array.half() if array.is_floating_point() else array

    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: stored(tensor) for name, tensor in tensors.items()}, path)
