"""What `studio models` does on a node: it fetches the checkpoints, or verifies and runs them."""

# ruff: noqa: PLC0415 - a command imports only the models that it runs

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from errors import SetupError
from models.checkpoints.adapter import AdapterName
from models.checkpoints.pins import Pinning
from models.checkpoints.registry import Model
from models.checkpoints.weights import HUB_PREFIX, LOCAL_PREFIX, checkpoint_folder
from models.embedder.embedder import EmbedderConfig
from models.segmenter.parser import ParserConfig
from models.segmenter.sam import SamConfig
from models.tryon.inpaint import COMPOSITE
from models.tryon.loading import TryOnConfig

ModelConfig = EmbedderConfig | ParserConfig | SamConfig | TryOnConfig


@dataclass(frozen=True)
class HubCheckpoint:
    """A checkpoint that comes from a hub, and the model that loads it."""

    name: str
    model: Model
    precision: str
    pinning: Pinning


def hub_checkpoints(configs: Sequence[ModelConfig]) -> list[HubCheckpoint]:
    """The checkpoints of these models that come from a hub, each once."""
    checkpoints: dict[HubCheckpoint, None] = {}
    for config in configs:
        names: list[tuple[str, Model]]
        match config:
            case EmbedderConfig():
                names = [(config.checkpoint, "embedder")]
            case ParserConfig():
                names = [(config.checkpoint, "parser")]
            case SamConfig():
                names = [(config.checkpoint, "sam")]
            case TryOnConfig():
                names = [(name, "tryon") for name in painter_checkpoints(config)]
        options = config.painter if isinstance(config, TryOnConfig) else config
        for name, model in names:
            if model == "tryon" or name.startswith(HUB_PREFIX):
                each = HubCheckpoint(name, model, options.precision, options.pinning)
                checkpoints[each] = None
    return [*checkpoints]


def painter_checkpoints(config: TryOnConfig) -> list[str]:
    """The painter and its adapter as far as they come from a hub; they need no `hf-hub:`."""
    painter, adapter = config.painter.checkpoint, config.painter.adapter
    is_local = painter == COMPOSITE or painter.startswith(LOCAL_PREFIX) or Path(painter).is_dir()
    names = [] if is_local else [painter]
    if adapter and AdapterName.parse(adapter).local_folder is None:
        names.append(adapter)
    return names


def fetch_checkpoints(configs: Sequence[ModelConfig]) -> Iterator[str]:
    """Downloads what this machine lacks of the models' checkpoints; yields a line for each.

    Files that are damaged are downloaded again. What is not pinned and need not be is fetched at
    the hub's newest revision.

    Raises:
        SetupError: a checkpoint must be pinned and is not, can't be fetched, or differs from its
            pin.
    """
    from models.checkpoints.hub import open_pinned, pins_of
    from models.checkpoints.pins import Pin, fetch, remove_damaged

    def fetch_again(pin: Pin) -> Path:
        remove_damaged(pin)
        return fetch(pin)

    for each in hub_checkpoints(configs):
        files = [*open_pinned(each.name, each.pinning, fetch_again)] or [
            (name, pin, fetch(pin)) for name, pin in pins_of(each.name, each.model, each.precision)
        ]
        for name, pin, folder in files:
            size = sum((folder / file).stat().st_size for file in pin.files)
            yield f"{name} at {pin.revision}: {size / 1e6:,.1f} MB in {folder}"
    for config in configs:
        if isinstance(config, EmbedderConfig) and is_library_tag(config.checkpoint):
            yield run_once(config)


def is_library_tag(checkpoint: str) -> bool:
    """Whether an embedder is named as open_clip's "architecture/tag", which is not pinned."""
    folder = checkpoint_folder(checkpoint, starter="embedder")
    return folder is None and not checkpoint.startswith(HUB_PREFIX)


def verify_checkpoints(configs: Sequence[ModelConfig]) -> Iterator[str]:
    """Compares the files of all pinned checkpoints, then runs every model once; without a network.

    Yields a line for each, which is the same on every machine that has the same files.

    Raises:
        SetupError: a file is missing or is not the pinned one, or a model does not work.
    """
    from models.checkpoints.hub import open_pinned
    from models.checkpoints.pins import require_cached

    for each in hub_checkpoints(configs):
        for name, pin, _ in open_pinned(each.name, each.pinning, require_cached):
            yield f"ok   {name}: {len(pin.files)} files as in models.lock"
    for config in configs:
        yield f"ok   {run_once(config)}"


def run_once(config: ModelConfig) -> str:
    """Loads a model, runs it on a small input, and returns its version.

    Raises:
        SetupError: its licence or its pin does not allow it, or it can't be loaded or run.
    """
    try:
        return _run_once(config, threads=os.cpu_count() or 1)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        name = config.painter if isinstance(config, TryOnConfig) else config
        raise SetupError(f"the checkpoint {name.checkpoint} does not work: {error}") from error


def _run_once(config: ModelConfig, threads: int) -> str:
    match config:
        case EmbedderConfig():
            from models.embedder.embedder import load as load_embedder

            embedder = load_embedder(replace(config, threads=threads))
            embedder.check()
            return f"{embedder.version}: {embedder.dim} dimensions"
        case ParserConfig():
            from models.segmenter.parser import load as load_parser

            parser = load_parser(replace(config, threads=threads))
            parser.check()
            return parser.version
        case SamConfig():
            from models.segmenter.sam import load as load_sam

            sam = load_sam(replace(config, threads=threads))
            sam.check()
            return sam.version
        case TryOnConfig():
            from models.tryon.loading import check_pipeline, load_pipeline

            parser_config = replace(config.parser, threads=threads, max_batch=1)
            pipeline = load_pipeline(replace(config, parser=parser_config))
            check_pipeline(pipeline)
            return pipeline.painter.version
