"""Settings -> the models' configurations: their checkpoints, precision and pins.

A replica adds its own capacity and device. A configuration contains no secrets, so it may be bound.
"""

from models.checkpoints.pins import Pinning
from models.embedder.embedder import EmbedderConfig
from models.segmenter.parser import ParserConfig
from models.segmenter.sam import SamConfig
from models.tryon.inpaint import PainterConfig
from models.tryon.loading import TryOnConfig
from settings import Settings


def pinning(settings: Settings) -> Pinning:
    """The lock of published checkpoints, and whether a checkpoint must be in it."""
    return Pinning(settings.models_lock, settings.requires_pins)


def embedder_config(settings: Settings) -> EmbedderConfig:
    """The embedder of the profile."""
    return EmbedderConfig(
        checkpoint=settings.embedder_checkpoint,
        precision=settings.model_precision,
        device=settings.device,
        pinning=pinning(settings),
    )


def parser_config(settings: Settings) -> ParserConfig:
    """The parser of the profile."""
    return ParserConfig(
        checkpoint=settings.parser_checkpoint,
        precision=settings.model_precision,
        device=settings.device,
        allow_noncommercial=settings.allow_noncommercial,
        pinning=pinning(settings),
    )


def sam_config(settings: Settings) -> SamConfig | None:
    """The SAM of the profile; None where the profile has none."""
    if settings.sam_checkpoint == "off":
        return None
    return SamConfig(
        checkpoint=settings.sam_checkpoint,
        precision=settings.model_precision,
        device=settings.device,
        allow_noncommercial=settings.allow_noncommercial,
        pinning=pinning(settings),
    )


def tryon_config(settings: Settings) -> TryOnConfig:
    """The parser and the painter of the profile."""
    painter = PainterConfig(
        checkpoint=settings.tryon_checkpoint,
        adapter=settings.tryon_adapter_checkpoint,
        precision=settings.model_precision,
        device=settings.device,
        pinning=pinning(settings),
    )
    return TryOnConfig(
        parser_config(settings), painter, allow_noncommercial=settings.allow_noncommercial
    )
