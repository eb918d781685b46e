"""Builds the try-on pipeline of a configuration, and checks that it works."""

# ruff: noqa: PLC0415 - the parser imports torch, which is needed only to load a pipeline

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from models.checkpoints.adapter import AdapterName
from models.checkpoints.registry import require_licence
from models.segmenter.atr import Atr
from models.segmenter.shapes import Mask, Pixels
from models.tryon.composite import compose
from models.tryon.inpaint import COMPOSITE, PainterConfig, load_painter
from models.tryon.painter import Scene
from models.tryon.person.pose import Labels
from models.tryon.pipeline import Sizes, TryOnPipeline

if TYPE_CHECKING:
    from models.segmenter.parser import ParserConfig


@dataclass(frozen=True)
class TryOnConfig:
    """The configurations of parser and painter, and the working sizes."""

    parser: "ParserConfig"
    painter: PainterConfig = field(default_factory=PainterConfig)
    sizes: Sizes = field(default_factory=Sizes)
    allow_noncommercial: bool = False


def load_pipeline(config: TryOnConfig) -> TryOnPipeline:
    """Loads the networks.

    Raises:
        SetupError: a checkpoint's licence does not allow its use here.
        OSError: there is no such checkpoint.
    """
    from models.segmenter.parser import load
    from models.tryon.warping.flow_network import load_flow

    allowed = config.allow_noncommercial
    if config.painter.checkpoint != COMPOSITE:
        require_licence(config.painter.checkpoint, "tryon", allow_noncommercial=allowed)
    if config.painter.adapter:
        adapter = AdapterName.parse(config.painter.adapter)
        if adapter.local_folder is None:
            require_licence(adapter.repository, "tryon", allow_noncommercial=allowed)
    parser = load(config.parser)
    parser.warm_up()
    return TryOnPipeline(parser, load_painter(config.painter), config.sizes, load_flow())


def check_pipeline(pipeline: TryOnPipeline) -> None:
    """Runs every step on a small drawing.

    Raises:
        RuntimeError: a network or the warp is broken.
    """
    pipeline.parser.check()
    person, labels = stick_figure()
    garment, mask = square_shirt()
    composite = compose(person, labels, garment, mask, "upper", pipeline.flow)
    if not (composite.share > 0).any():
        raise RuntimeError("the warp lays no garment on the person")
    scene = Scene(
        person, labels, garment, mask, "upper", composite, seed=0, steps=1, on_step=lambda *_: None
    )
    [painting] = pipeline.painter.paint([scene])
    if isinstance(painting, Exception):
        raise painting
    if painting.picture.shape != person.shape:
        raise RuntimeError("the painter changed the picture's size")


def stick_figure() -> tuple[Pixels, Labels]:
    """A person of rectangles, (160, 96, 3), and its parse map."""
    labels = np.zeros((160, 96), np.uint8)
    parts = (
        (Atr.UPPER_CLOTHES, 34, 84, 32, 64), (Atr.PANTS, 84, 130, 34, 62),
        (Atr.FACE, 10, 34, 40, 56), (Atr.LEFT_ARM, 40, 88, 22, 31), (Atr.RIGHT_ARM, 40, 88, 65, 74),
        (Atr.LEFT_LEG, 130, 150, 36, 46), (Atr.RIGHT_LEG, 130, 150, 50, 60),
    )  # fmt: skip
    person = np.full((160, 96, 3), 220, np.uint8)
    for kind, top, bottom, left, right in parts:
        labels[top:bottom, left:right] = kind
        person[top:bottom, left:right] = (30 * kind % 200, 90, 200 - 10 * kind)
    return person, labels


def square_shirt() -> tuple[Pixels, Mask]:
    """A shirt of rectangles, (96, 96, 3), and its mask."""
    mask = np.zeros((96, 96), bool)
    mask[10:88, 26:70] = True
    mask[12:34, 8:88] = True
    garment = np.where(mask[..., None], (200, 40, 40), 245).astype(np.uint8)
    return garment, mask
