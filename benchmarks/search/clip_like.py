"""The CLIP-like vectors of the index's benchmarks, made by a file beside the repository."""

import importlib.util
from pathlib import Path
from typing import Any

from numpy.typing import NDArray


def clip_like(source: Path, count: int) -> tuple[NDArray[Any], ...]:
    """Items, their categories, image and text queries, as the source file makes them."""
    spec = importlib.util.spec_from_file_location("vectors", source)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    data: tuple[NDArray[Any], ...] = module.clip_like(count)
    return data
