"""Which weights of a diffusers repository are loaded: many store a network in two precisions.

`….safetensors` is the full precision, `….fp16.safetensors` half of it. The lock pins one of the
two, and a loader gets the variant that its folder has.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

FP16 = "fp16"
_HALF = re.compile(r"\.fp16[.-]")
_OTHER = re.compile(r"\.(fp32|bf16|non_ema|ema)[.-]|(flax|tf|onnx|openvino)_")


def select_weights(files: Iterable[str], precision: str) -> list[str]:
    """The paths that a loader of this precision reads, in their order.

    Where a folder has weights of both kinds, they are the `fp16` ones if the network runs in half
    precision ("fp16" or "bf16"), else the full ones. Weights of other frameworks are left out.
    """
    own = [file for file in files if not _OTHER.search(file)]
    kinds: dict[PurePosixPath, set[bool]] = defaultdict(set)
    for file in filter(_is_weight, own):
        kinds[PurePosixPath(file).parent].add(_is_half(file))

    def is_read(file: str) -> bool:
        half_too, full_too = (kind in kinds[PurePosixPath(file).parent] for kind in (True, False))
        wants_half = half_too and (precision != "fp32" or not full_too)
        return not _is_weight(file) or _is_half(file) == wants_half

    return [file for file in own if is_read(file)]


def find_variant(folder: Path | str, precision: str) -> str | None:
    """The `variant` argument of diffusers for a pipeline's folder: "fp16" or None.

    It is None for a hub's name, too. With "fp16", diffusers reads the full weights of those parts
    that have no others.
    """
    files = (path.relative_to(folder).as_posix() for path in Path(folder).glob("*/*"))
    return FP16 if any(_is_half(file) for file in select_weights(files, precision)) else None


def _is_half(file: str) -> bool:
    return _HALF.search(file) is not None


def _is_weight(file: str) -> bool:
    """Whether the path is of weights, or of the index of weights that come in several files."""
    return file.endswith((".safetensors", ".bin")) or ".index." in file
