"""A checkpoint that can't be loaded is named."""

import shutil
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from models.checkpoints.weights import STARTER_FOLDER
from models.embedder.embedder import EmbedderConfig
from models.embedder.embedder import load as load_embedder
from models.segmenter.parser import ParserConfig
from models.segmenter.parser import load as load_parser
from models.segmenter.sam import SamConfig
from models.segmenter.sam import load as load_sam
from models.tryon.inpaint import PainterConfig, load_painter

LOADERS: dict[str, Callable[[str], object]] = {
    "embedder": lambda name: load_embedder(EmbedderConfig(name, device="cpu")),
    "parser": lambda name: load_parser(ParserConfig(name, device="cpu")),
    "sam": lambda name: load_sam(SamConfig(name, device="cpu")),
    "painter": lambda name: load_painter(PainterConfig(name, device="cpu")),
}


@pytest.mark.parametrize("kind", LOADERS)
def test_a_damaged_checkpoint_is_named(kind: str, tmp_path: Path) -> None:
    """Serve shows the traceback of a replica that can't start."""
    folder = tmp_path / "damaged"
    if kind == "painter":
        folder.mkdir()
    else:
        shutil.copytree(STARTER_FOLDER / kind, folder)
        weights = max(folder.iterdir(), key=lambda path: path.stat().st_size)
        weights.write_bytes(weights.read_bytes()[:100_000])
    with pytest.raises(Exception) as caught:
        LOADERS[kind](f"local-dir:{folder}")
    assert f"while loading the checkpoint local-dir:{folder}" in "".join(
        traceback.format_exception(caught.value)
    )
