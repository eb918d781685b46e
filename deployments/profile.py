"""Settings -> the models' configurations: their checkpoints, precision and pins.

A replica adds its own capacity and device. A configuration contains no secrets, so it may be bound.
"""

from dataclasses import replace

from jobs.checkpoints.preparation import ModelConfig
from models.checkpoints.pins import Pinning
from models.embedder.embedder import EmbedderConfig
from models.segmenter.parser import ParserConfig
from models.segmenter.sam import SamConfig
from models.tryon.inpaint import PainterConfig
from models.tryon.loading import TryOnConfig
from settings import Settings


def model_configs(settings: Settings) -> list[ModelConfig]:
    """Every model of the profile and every next one: what `studio models` locks and fetches."""
    configs: tuple[ModelConfig | None, ...] = (
        embedder_config(settings),
        parser_config(settings),
        sam_config(settings),
        tryon_config(settings),
        next_embedder_config(settings),
        *(next_segmenter_configs(settings) or ()),
        next_tryon_config(settings),
    )
    return [config for config in configs if config is not None]


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
        allow_noncommercial=settings.allow_noncommercial,
    )


def next_embedder_config(settings: Settings) -> EmbedderConfig | None:
    """The embedder to roll out: another checkpoint, another precision, or both; None for none."""
    if not settings.has_next_embedder:
        return None
    present = embedder_config(settings)
    return replace(
        present,
        checkpoint=settings.embedder_next or present.checkpoint,
        precision=settings.embedder_next_precision or present.precision,
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
    return _sam(settings, settings.sam_checkpoint)


def next_segmenter_configs(settings: Settings) -> tuple[ParserConfig, SamConfig | None] | None:
    """The parser and the SAM to roll out, one of them as at present; None for no rollout."""
    if not settings.has_next_segmenter:
        return None
    present = parser_config(settings)
    parser = replace(present, checkpoint=settings.parser_next or present.checkpoint)
    return parser, _sam(settings, settings.sam_next or settings.sam_checkpoint)


def _sam(settings: Settings, checkpoint: str) -> SamConfig | None:
    if checkpoint == "off":
        return None
    return SamConfig(
        checkpoint=checkpoint,
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


def next_tryon_config(settings: Settings) -> TryOnConfig | None:
    """The painter to roll out, without an adapter, and the present parser; None for no rollout."""
    if not settings.tryon_next:
        return None
    present = tryon_config(settings)
    painter = replace(present.painter, checkpoint=settings.tryon_next, adapter=None)
    return replace(present, painter=painter)
